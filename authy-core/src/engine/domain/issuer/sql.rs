//! The statements of the issuer.

use crate::engine::storage::statement::statements;

statements! {
    /// The issuer that the database keeps; NULL when it keeps none yet.
    FIND() = "SELECT issuer FROM authy.installation";

    /// Keeps an issuer, unless one is kept already.
    KEEP(TEXT) = "UPDATE authy.installation SET issuer = $1 WHERE issuer IS NULL";

    /// Replaces the issuer. Returns the replaced one, and no row when it is the same.
    SET(TEXT) =
        "UPDATE authy.installation SET issuer = $1
         FROM (SELECT issuer FROM authy.installation FOR UPDATE) AS replaced
         WHERE replaced.issuer IS DISTINCT FROM $1 RETURNING replaced.issuer";
}
