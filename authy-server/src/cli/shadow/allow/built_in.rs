//! The differences between the first authy and this version that are intended: docs/poptape.md and docs/side-by-side.md.

/// Rules with the same reason.
pub(super) struct Group {
    pub(super) why: &'static str,
    pub(super) rules: &'static [&'static str],
}

pub(super) const RULES: &[Group] = &[
    Group { why: "the texts of messages are today's", rules: &["* /** field message"] },
    Group {
        why: "an error is a problem document (RFC 9457)",
        rules: &[
            "* /** field error",
            "* /** added type",
            "* /** added title",
            "* /** added status",
            "* /** added code",
            "* /** added detail",
            "* /** added fields",
            "* /** added request_id",
        ],
    },
    Group {
        why: "a good token with too little power is 403 outside of the login",
        rules: &["GET /** status 401->403", "PUT /** status 401->403", "DELETE /** status 401->403"],
    },
    Group {
        why: "a login also answers how long its tokens are valid, and a refresh token",
        rules: &[
            "POST /authy/login added token_type",
            "POST /authy/login added expires_in",
            "POST /authy/login added expires_at",
            "POST /authy/login added refresh_token",
            "POST /authy/login added refresh_expires_in",
            "POST /authy/login added refresh_expires_at",
            "POST /authy/login added device_token",
            "POST /authy/login added public_id",
        ],
    },
    Group {
        why: "a check of a token also answers who has it",
        rules: &[
            "GET /authy/checkaccess/* added username",
            "GET /authy/checkaccess/* added level",
            "GET /authy/checkaccess/* added roles",
        ],
    },
    Group {
        why: "users are shown with what is known about them today, and lists are continued by a cursor",
        rules: &[
            "GET /authy/user/* added public_id",
            "GET /authy/user/* added roles",
            "GET /authy/user/* added level",
            "GET /authy/user/* added validated",
            "GET /authy/user/* added details",
            "GET /authy/users added users[].roles",
            "GET /authy/users added users[].level",
            "GET /authy/users added users[].validated",
            "GET /authy/users added users[].details",
            "GET /authy/users field next_url",
            "GET /authy/users field prev_url",
            "GET /authy/users added total_is_estimate",
            "GET /authy/role/*/users added total_records",
            "GET /authy/role/*/users field next_url",
            "GET /authy/role/*/users field prev_url",
            "GET /authy/user/*/role added roles[].description",
        ],
    },
    Group {
        why: "the list of endpoints and the status are about another program",
        rules: &["GET /authy field endpoints", "GET /authy/status added version", "GET /authy/status added metadata"],
    },
];
