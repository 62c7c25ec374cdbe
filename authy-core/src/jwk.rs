//! JSON Web Keys: the public keys that verify access tokens.

wire! {
    /// A public key (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2).
    pub struct Jwk {
        /// `OKP`, `EC` or `RSA`.
        #[cfg_attr(feature = "schema", schemars(example = &"OKP"))]
        pub kty: String,
        /// The key's RFC 7638 thumbprint.
        #[cfg_attr(feature = "schema", schemars(example = &"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"))]
        pub kid: String,
        /// `sig`.
        #[cfg_attr(feature = "schema", schemars(example = &"sig"))]
        #[serde(rename = "use")]
        pub usage: String,
        /// `EdDSA`, `ES256` or `RS256`.
        #[cfg_attr(feature = "schema", schemars(example = &"EdDSA"))]
        pub alg: String,
        /// The curve, of `OKP` and `EC` keys.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(example = &"Ed25519"))]
        pub crv: Option<String>,
        /// The public key of `OKP`, the x coordinate of `EC`, base64url.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(example = &"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))]
        pub x: Option<String>,
        /// The y coordinate of `EC`, base64url.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub y: Option<String>,
        /// The modulus of `RSA`, base64url.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub n: Option<String>,
        /// The exponent of `RSA`, base64url.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub e: Option<String>,
    }
}
