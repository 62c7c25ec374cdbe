//! A bid service whose users are those of an authy server.
//!
//! It has one dependency of authy, `authy-client`: it verifies tokens itself, hears of a logout within a second, logs
//! people in on behalf of their browsers, and has a session of its own for its background job.
//!
//! | endpoint | who | does |
//! |---|---|---|
//! | `POST /login` `{username, password}` | everybody | passes the login on to authy, and its answer back |
//! | `POST /bids` `{lot, cents}` | level 10 or more power | 201 and the bid |
//! | `GET /bids` | any valid token | the caller's name, and all bids |
//! | `DELETE /bids/{id}` | level 5 or more power, or the role `auctioneer` | 204 |
//!
//! # Run it
//!
//! `make run` starts an authy server and prints the password of its first administrator, `admin`. Then
//!
//! ```text
//! cargo run -p authy-example-sibling
//! curl http://127.0.0.1:8090/login -H 'content-type: application/json' -d '{"username": "admin", "password": "…"}'
//! curl http://127.0.0.1:8090/bids -H "authorization: Bearer $TOKEN"
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `BIDS_LISTEN` | `127.0.0.1:8090` | where to listen |
//! | `AUTHY_URL` | `http://127.0.0.1:8080` | the authy server, as this service reaches it |
//! | `AUTHY_ISSUER` | that URL | the server's `AUTHY_ISSUER` |
//! | `AUTHY_AUDIENCE` | `authy` | the server's `AUTHY_AUDIENCE` |
//! | `BIDS_DANGEROUS_ALLOW_PLAIN_HTTP` | `false` | `true` permits an `AUTHY_URL` of plain http to another machine |
//! | `BIDS_ACCOUNT`, `BIDS_PASSWORD_FILE` | | the account of the background job; no job without them |
//! | `BIDS_DEVICE_FILE` | | keeps the device token; without it the account gets a mail about each start, once a day |
//!
//! The server believes the addresses of the browsers when its `AUTHY_TRUSTED_PROXIES` names this service.
//!
//! The background job names the bidders, and withdraws the bids of deleted users. Its account is created in the folder
//! where `make run` was started:
//!
//! ```text
//! openssl rand -base64 18 > bids.password
//! target/release/authy-server user create --username bids --email bids@example.org --role admin \
//!     --password-stdin < bids.password
//! BIDS_ACCOUNT=bids BIDS_PASSWORD_FILE=bids.password cargo run -p authy-example-sibling
//! ```
//!
//! It reads accounts, for which a role of level 5 is enough: keep the password like that of an administrator. A service
//! that needs only names calls `Client::get_username`, which needs no account.

pub mod bidders;
pub mod bids;
pub mod routes;
pub mod settings;
