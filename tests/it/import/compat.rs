//! The users of the first authy with its clients, which send passwords in base64.

use authy_server::Compat;
use authy_tests::wire::post;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::*;

#[tokio::test]
async fn every_user_of_the_first_authy_logs_in_with_the_password_in_base64() {
    let mut users = old_database::users();
    users.iter_mut().for_each(|user| user.method = "pbkdf2:sha256:1000");
    let old = old_database::create(&users).await;
    let app = TestApp::with(|_, http| http.compat = Some(Compat::Poptape)).await;
    import(&app.authy, first_authy(&old)).await;
    for user in &users {
        let body = json!({ "username": user.username, "password": BASE64_STANDARD.encode(&user.password) }).to_string();
        let answer = post(app.address, "/authy/login", &body).await;
        let Fate::LogsIn(_) = user.fate else {
            assert_ne!(answer.status, 200, "{user:?}");
            continue;
        };
        assert_eq!(answer.status, 200, "{user:?}: {}", answer.json());
        let identity = app.authy.authenticate(answer.json()["token"].as_str().unwrap()).await.unwrap();
        assert_eq!(Some(identity.public_id.to_string()), user.public_id, "{user:?}");
    }
}
