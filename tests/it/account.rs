//! Changing an account: who may, what holds until a code comes back, and what ends.

use authy_client::Client;
use authy_core::{
    ErrorKind, Secret, UserId,
    api::{
        account::{AccountChange, Code, PasswordReset},
        event::EventKind,
        session::{Credentials, RefreshToken},
        user::{Deletion, NewUser},
    },
    engine::LetterKind,
};
use authy_tests::{
    House, PASSWORD, Person, at_once, credentials, fresh_name, new_user, operator,
    wire::{get, post, send},
};

mod confirmation;
mod device;
mod power;
mod recovery;
mod removal;

/// Another password that passes.
const OTHER: &str = "marmalade-submarine-17";

fn current() -> Option<Secret> {
    Some(Secret::new(PASSWORD))
}

fn new_password() -> AccountChange {
    AccountChange::password(None, Secret::new(OTHER)).unwrap()
}

async fn logs_in(house: &House, username: &str, password: &str) -> bool {
    house.nobody().login(Credentials::new(username, Secret::new(password))).await.is_ok()
}

/// Makes every session of somebody's older than a login may be that counts as recent.
async fn grow_old(house: &House, person: &Person) {
    let age = "UPDATE authy.session SET created = created - interval '11 minutes' WHERE user_id = $1";
    house.sql().await.execute(age, &[person.id.as_uuid()]).await.unwrap();
}

#[tokio::test]
async fn oneself_is_changed_with_the_password_or_soon_after_a_login() {
    let house = House::new().await;
    let person = house.user().await;
    grow_old(&house, &person).await;
    let path = format!("/authy/user/{}", person.id);
    let head =
        format!("PUT {path} HTTP/1.1\ncontent-type: application/json\nx-access-token: {}", person.token.expose());
    let body = format!(r#"{{"password": "{OTHER}", "confirm_password": "{OTHER}"}}"#);
    let answer = send(house.address, &head, &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "reauthentication_required"));
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_user_authentication\"") && challenge.contains("max_age=\"600\""));

    let wrong = AccountChange::password(Some(Secret::new(OTHER)), Secret::new(OTHER)).unwrap();
    let refused = person.client.change_user(person.id, wrong).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InvalidCredentials));
    assert!(person.client.get_self().await.is_ok(), "nothing has changed");
    let right = AccountChange::password(current(), Secret::new(OTHER)).unwrap();
    person.client.change_user(person.id, right).await.unwrap();
    assert!(logs_in(&house, &person.username, OTHER).await);

    // An administrator is somebody else's administrator, and one's own user.
    let admin = house.admin().await;
    grow_old(&house, &admin).await;
    let refused = admin.client.change_user(admin.id, new_password()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::ReauthenticationRequired));
    admin.client.change_user(person.id, new_password()).await.unwrap();
}

#[tokio::test]
async fn a_new_password_ends_every_other_session_and_is_told() {
    let house = House::new().await;
    let person = house.user().await;
    let other = house.again(&person).await;
    person.client.change_user(person.id, new_password()).await.unwrap();
    for client in [&person.client, &other.client] {
        assert_eq!(client.get_self().await.unwrap_err().kind(), Some(ErrorKind::InvalidToken));
    }
    let refresh = async |refresh_token| house.nobody().refresh(RefreshToken { refresh_token }).await;
    drop(refresh(other.refresh_token.clone()).await.unwrap_err());
    let own = refresh(person.refresh_token.clone()).await.unwrap();
    assert!(house.nobody().with_token(own.token).get_self().await.is_ok());
    let letters = house.letters(person.id, EventKind::PasswordChanged).await;
    assert_eq!((letters.len(), letters[0].kind), (1, LetterKind::PasswordChanged));
}

#[tokio::test]
async fn what_cannot_be_changed_so_is_refused_with_nothing_done() {
    let house = House::new().await;
    let person = house.user().await;
    let put = |body: String| {
        let token = person.token.expose();
        let head =
            format!("PUT /authy/user/{} HTTP/1.1\ncontent-type: application/json\nx-access-token: {token}", person.id);
        async move { send(house.address, &head, &body).await }
    };
    let cases = [
        ("{}".to_owned(), "invalid_input"),
        (format!(r#"{{"password": "{OTHER}"}}"#), "invalid_input"),
        (format!(r#"{{"confirm_password": "{OTHER}"}}"#), "invalid_input"),
        (format!(r#"{{"password": "{OTHER}", "confirm_password": "x"}}"#), "passwords_differ"),
        (r#"{"password": "password1", "confirm_password": "password1"}"#.to_owned(), "weak_password"),
        (r#"{"email": "nonsense"}"#.to_owned(), "invalid_input"),
        (r#"{"username": "somebody-else"}"#.to_owned(), "invalid_input"),
        // All or nothing: the password would pass.
        (format!(r#"{{"password": "{OTHER}", "confirm_password": "{OTHER}", "email": "nonsense"}}"#), "invalid_input"),
    ];
    for (body, code) in cases {
        assert_eq!(put(body.clone()).await.code(), code, "{body}");
    }
    assert!(person.client.get_self().await.is_ok(), "no epoch has begun");
    assert!(logs_in(&house, &person.username, PASSWORD).await);
}

#[tokio::test]
async fn a_new_address_is_in_force_once_its_code_comes_back() {
    let house = House::new().await;
    let person = house.user().await;
    let address = format!("{}@example.com", person.username);
    let change = AccountChange::email(None, address.parse().unwrap());
    let view = person.client.change_user(person.id, change).await.unwrap();
    let old = format!("{}@example.org", person.username);
    assert_eq!(view.email.as_str(), old);
    let letters = house.letters(person.id, EventKind::EmailRequested).await;
    let told: Vec<_> = letters.iter().map(|letter| (letter.kind, letter.to.as_str())).collect();
    assert_eq!(told, [(LetterKind::EmailRequested, old.as_str()), (LetterKind::ConfirmEmail, address.as_str())]);
    assert!(person.client.get_self().await.is_ok());

    let code = house.code(person.id, EventKind::EmailRequested).await;
    house.nobody().validate(Code::new(code.clone())).await.unwrap();
    assert!(person.client.get_self().await.is_err(), "the token says the old address is in force");
    let refresh_token = person.refresh_token.clone();
    let fresh = house.nobody().refresh(RefreshToken { refresh_token }).await.unwrap();
    let view = house.nobody().with_token(fresh.token).get_self().await.unwrap();
    assert_eq!(view.email.as_str(), address);
    assert!(house.nobody().validate(Code::new(code)).await.unwrap().already_confirmed);
    // The old address is free again.
    house.nobody().register(NewUser::new(&fresh_name("next"), &old, Secret::new(PASSWORD)).unwrap()).await.unwrap();
}

/// Asks for 58 addresses, half of which somebody has or had, five in the name of each account.
#[tokio::test]
async fn asking_for_an_address_does_not_tell_whether_somebody_has_it() {
    let house = House::new().await;
    let addresses: Vec<u32> = (0..58).collect();
    for five in addresses.chunks(5) {
        let person = house.user().await;
        let ask = async |address: &str| {
            let (id, token) = (person.id, person.token.expose());
            let head =
                format!("PUT /authy/user/{id} HTTP/1.1\ncontent-type: application/json\nx-access-token: {token}");
            send(house.address, &head, &format!(r#"{{"email":"{address}"}}"#)).await
        };
        for number in five {
            let address = match number % 2 {
                0 => format!("free-{number}@example.com"),
                _ => {
                    let name = fresh_name("owner");
                    let owner = house.nobody().register(new_user(&name)).await.unwrap().public_id;
                    if number % 4 == 1 {
                        house.authy.delete_user(&operator(), owner).await.unwrap();
                    }
                    format!("{name}@EXAMPLE.org")
                }
            };
            let answer = ask(&address).await;
            assert_eq!(answer.status, 200, "{address}: {answer:?}");
            assert_eq!(answer.json()["email"], format!("{}@example.org", person.username));
            let export = person.client.export_self().await.unwrap();
            assert_eq!(export.user.pending_email.unwrap().as_str(), address, "the export does not tell either");
        }
        if five.len() == 5 {
            let refused = ask("sixth@example.com").await;
            assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"), "taken ones count too");
        }
    }
}

#[tokio::test]
async fn the_owner_of_an_address_hears_that_somebody_asked_for_it_and_nobody_gets_a_code() {
    let house = House::new().await;
    let owner = house.user().await;
    let address = format!("{}@example.org", owner.username);
    let mut notices = 0;
    for _ in 0..5 {
        let person = house.user().await;
        let change = AccountChange::email(None, address.to_uppercase().parse().unwrap());
        person.client.change_user(person.id, change).await.unwrap();
        // Handed out again after a failure, the same notice is still one.
        house.letters(person.id, EventKind::EmailRequested).await;
        let letters = house.letters(person.id, EventKind::EmailRequested).await;
        assert!(letters.iter().all(|letter| letter.code.is_none()), "{letters:?}");
        assert_eq!(letters[0].to.as_str(), format!("{}@example.org", person.username));
        if let Some(notice) = letters.get(1) {
            notices += 1;
            assert_eq!((notice.kind, notice.to.as_str()), (LetterKind::AddressClaimed, address.as_str()));
            assert_eq!((&notice.ip, &notice.user_agent), (&None, &None), "nothing of who asked");
            assert_eq!(notice.username.as_ref().unwrap().as_str(), owner.username);
        }
    }
    assert_eq!(notices, 3, "no more in a day");
}

#[tokio::test]
async fn of_two_new_addresses_the_later_counts_and_one_that_was_taken_meanwhile_is_refused() {
    let house = House::new().await;
    let person = house.user().await;
    let name = &person.username;
    let ask = async |address: String| {
        let change = AccountChange::email(None, address.parse().unwrap());
        person.client.change_user(person.id, change).await.unwrap();
        house.code(person.id, EventKind::EmailRequested).await
    };
    let first = ask(format!("{name}-first@example.com")).await;
    let second = ask(format!("{name}-second@example.com")).await;
    let void = house.nobody().validate(Code::new(first)).await.unwrap_err();
    assert_eq!(void.kind(), Some(ErrorKind::NotFound));

    let wanted = format!("{name}-second@example.com");
    let rival = NewUser::new(&fresh_name("rival"), &wanted, Secret::new(PASSWORD)).unwrap();
    let rival = house.nobody().register(rival).await.unwrap().public_id;
    // Whoever confirms it first has it.
    let confirmation = house.code(rival, EventKind::UserRegistered).await;
    house.nobody().validate(Code::new(confirmation)).await.unwrap();
    let taken = house.nobody().validate(Code::new(second)).await.unwrap_err();
    assert_eq!(taken.kind(), Some(ErrorKind::AlreadyRegistered));
    let view = person.client.get_self().await.unwrap();
    assert_eq!(view.email.as_str(), format!("{name}@example.org"), "nothing is lost");

    let third = ask(format!("{name}-third@example.com")).await;
    house.nobody().validate(Code::new(third)).await.unwrap();
}

#[tokio::test]
async fn many_change_one_account_at_once_and_one_address_remains() {
    let house = House::new().await;
    let person = house.user().await;
    let answers = at_once(8, |number| {
        let (client, id) = (person.client.clone(), person.id);
        let address = format!("{}-{number}@example.com", person.username);
        async move { client.change_user(id, AccountChange::email(current(), address.parse().unwrap())).await }
    })
    .await;
    // Each address is sent a mail: five in an hour are enough.
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (5, 3));
    assert!(refused.iter().all(|answer| answer.as_ref().unwrap_err().kind() == Some(ErrorKind::RateLimited)));
    let pending = "SELECT count(*) FROM authy.code WHERE user_id = $1 AND purpose = 'email'";
    let row = house.sql().await.query_one(pending, &[person.id.as_uuid()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

async fn sign_up(house: &House) -> (UserId, String, Client) {
    let name = fresh_name("new");
    let id = house.nobody().register(new_user(&name)).await.unwrap().public_id;
    let token = house.nobody().login(credentials(&name)).await.unwrap().token;
    (id, name, house.nobody().with_token(token))
}

#[tokio::test]
async fn an_administrator_can_be_kept_from_setting_passwords() {
    let house = House::with(|config, _| config.admin_sets_passwords = false).await;
    let (admin, person) = (house.admin().await, house.user().await);
    let refused = admin.client.change_user(person.id, new_password()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InsufficientLevel));
    // Whoever sets the address gets the code that sets the password.
    let address = format!("{}@example.com", person.username).parse().unwrap();
    let refused = admin.client.change_user(person.id, AccountChange::email(None, address)).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::InsufficientLevel));
    admin.client.send_reset(person.id).await.unwrap();
    let _ = house.code(person.id, EventKind::ResetRequested).await;
    admin.client.change_user(admin.id, new_password()).await.unwrap();
}

#[tokio::test]
async fn a_page_for_changing_passwords_is_found_where_the_w3c_says() {
    let page = "https://shop.example/account/password";
    let house = House::with(|config, _| config.change_password_url = Some(page.to_owned())).await;
    let answer = get(house.address, "/.well-known/change-password").await;
    assert_eq!((answer.status, answer.header("location")), (302, page));
    // How a browser finds out that the answer means something.
    let probe = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200";
    assert_eq!(get(house.address, probe).await.status, 404);
    assert_eq!(get(House::new().await.address, "/.well-known/change-password").await.status, 404);
}
