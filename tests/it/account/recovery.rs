//! Getting back in when the password is forgotten.

use authy_core::api::account::ForgottenPassword;

use super::*;

async fn forgot(house: &House, username: &str) {
    let email = format!("{username}@example.org").parse().unwrap();
    house.nobody().forgot_password(ForgottenPassword { email }).await.unwrap();
}

fn reset(code: Secret) -> PasswordReset {
    PasswordReset::new(code, Secret::new(OTHER)).unwrap()
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_every_session_ends() {
    let house = House::new().await;
    let person = house.user().await;
    forgot(&house, &person.username).await;
    let code = house.code(person.id, EventKind::ResetRequested).await;
    // A password that does not pass costs nobody the code.
    let weak = PasswordReset::new(code.clone(), Secret::new(person.username.clone())).unwrap();
    let refused = house.nobody().reset_password(weak).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::WeakPassword));
    house.nobody().reset_password(reset(code.clone())).await.unwrap();
    assert!(logs_in(&house, &person.username, OTHER).await);
    assert!(!logs_in(&house, &person.username, PASSWORD).await);
    assert!(person.client.get_self().await.is_err());
    let refresh_token = person.refresh_token.clone();
    drop(house.nobody().refresh(RefreshToken { refresh_token }).await.unwrap_err());
    let spent = house.nobody().reset_password(reset(code)).await.unwrap_err();
    assert_eq!((spent.kind(), spent.status()), (Some(ErrorKind::NotFound), Some(404)));
    let letters = house.letters(person.id, EventKind::PasswordChanged).await;
    assert_eq!(letters[0].kind, LetterKind::PasswordChanged);
}

#[tokio::test]
async fn whether_anybody_has_the_address_is_not_told() {
    let house = House::new().await;
    let person = house.user().await;
    let admin = house.admin().await;
    let gone = house.user().await;
    admin.client.delete_user(gone.id, Deletion::PLAIN).await.unwrap();
    let mut answers = Vec::new();
    for name in [&*person.username, &*gone.username, "nobody-has-this"] {
        let body = format!(r#"{{"email": "{name}@example.org"}}"#);
        let answer = post(house.address, "/authy/password/forgot", &body).await;
        let headers: Vec<_> =
            answer.headers.into_iter().filter(|(name, _)| name != "x-request-id" && name != "date").collect();
        answers.push((answer.status, headers, answer.body));
    }
    assert_eq!(answers[0].0, 202);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // The same is written, whoever is asked about, and two of the three are about nobody.
    let sql = house.sql().await;
    let codes = sql.query_one("SELECT count(*), count(user_id) FROM authy.code", &[]).await.unwrap();
    assert_eq!((codes.get::<_, i64>(0), codes.get::<_, i64>(1)), (3, 1));
}

#[tokio::test]
async fn five_mails_an_hour_are_sent_however_often_they_are_asked_for() {
    let house = House::new().await;
    let (person, admin) = (house.user().await, house.admin().await);
    for number in 0..8 {
        forgot(&house, &person.username).await;
        let letters = house.letters(person.id, EventKind::ResetRequested).await;
        // Counted by the hour of the clock, should another begin in the middle of this.
        let in_this_hour = "SELECT count(*) FROM authy.event
                            WHERE kind = 'reset.requested' AND happened >= date_trunc('hour', clock_timestamp())";
        let asked: i64 = house.sql().await.query_one(in_this_hour, &[]).await.unwrap().get(0);
        assert_eq!(letters.len(), usize::from(asked <= 5), "mail {number}");
    }
    // Who asks without saying who he is keeps nobody from getting a mail from somebody who does, or in the next hour.
    admin.client.send_reset(person.id).await.unwrap();
    assert_eq!(house.letters(person.id, EventKind::ResetRequested).await.len(), 1);
}

#[tokio::test]
async fn of_many_who_reset_with_one_code_at_once_one_wins() {
    let house = House::new().await;
    let person = house.user().await;
    forgot(&house, &person.username).await;
    let code = house.code(person.id, EventKind::ResetRequested).await;
    let answers = at_once(6, |number| {
        let (nobody, code) = (house.nobody(), code.clone());
        let password = format!("{OTHER}-{number}");
        async move { nobody.reset_password(PasswordReset::new(code, Secret::new(password)).unwrap()).await.is_ok() }
    })
    .await;
    assert_eq!(answers.iter().filter(|done| **done).count(), 1, "{answers:?}");
    let winner = answers.iter().position(|done| *done).unwrap();
    assert!(logs_in(&house, &person.username, &format!("{OTHER}-{winner}")).await);
}

#[tokio::test]
async fn no_session_on_the_old_password_survives_a_reset_that_happens_during_the_login() {
    let house = House::new().await;
    for _ in 0..10 {
        let person = house.user().await;
        forgot(&house, &person.username).await;
        let code = house.code(person.id, EventKind::ResetRequested).await;
        let logins = at_once(6, |number| {
            let (nobody, name, code) = (house.nobody(), person.username.clone(), code.clone());
            async move {
                match number {
                    0 => {
                        nobody.reset_password(reset(code)).await.unwrap();
                        None
                    }
                    _ => nobody.login(credentials(&name)).await.ok(),
                }
            }
        })
        .await;
        for tokens in logins.into_iter().flatten() {
            assert!(house.nobody().with_token(tokens.token).get_self().await.is_err());
            assert!(house.nobody().refresh(RefreshToken { refresh_token: tokens.refresh_token }).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_code_from_the_operator_resets_and_one_from_a_mail_confirms_the_address_too() {
    let house = House::new().await;
    let admin = house.admin().await;
    let validated = async |id| admin.client.get_user(id).await.unwrap().validated;
    let (id, name, _) = sign_up(&house).await;
    let code = house.authy.create_reset(&authy_tests::operator(), id).await.unwrap();
    assert!(house.letters(id, EventKind::ResetRequested).await.is_empty(), "it is mailed to nobody");
    house.nobody().reset_password(reset(code)).await.unwrap();
    assert!(logs_in(&house, &name, OTHER).await && !validated(id).await);

    let (id, name, _) = sign_up(&house).await;
    forgot(&house, &name).await;
    let code = house.code(id, EventKind::ResetRequested).await;
    house.nobody().reset_password(reset(code)).await.unwrap();
    assert!(logs_in(&house, &name, OTHER).await && validated(id).await);
}

#[tokio::test]
async fn an_administrator_sends_a_reset_to_the_less_powerful_only() {
    let house = House::new().await;
    let (root, admin) = (house.superadmin().await, house.admin().await);
    let refused = admin.client.send_reset(root.id).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::BeyondYourLevel));
    admin.client.send_reset(house.user().await.id).await.unwrap();
    let missing = admin.client.send_reset(UserId::random()).await.unwrap_err();
    assert_eq!(missing.kind(), Some(ErrorKind::NotFound));
}
