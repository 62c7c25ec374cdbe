//! A request that is permitted at its head and whose body comes late: what counts is who may when it is done.

use authy_core::RoleName;
use authy_tests::wire::{Answer, answers};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

/// A request whose body has yet to come.
struct PendingRequest(TcpStream);

impl PendingRequest {
    /// Sends a head, and waits until the server has permitted it and asks for the body.
    async fn new(app: &TestApp, head: &str, token: &Secret) -> Self {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let head = format!(
            "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n",
            token.expose()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self(stream)
    }

    /// Sends the body.
    async fn finish(mut self) -> Answer {
        self.0.write_all(b"{}").await.unwrap();
        let mut received = Vec::new();
        self.0.read_to_end(&mut received).await.unwrap();
        answers(&received).remove(0)
    }
}

#[tokio::test]
async fn an_administrator_does_not_win_a_role_back_with_a_request_that_was_under_way() {
    let app = TestApp::new().await;
    app.superadmin().await;
    let superadmin: RoleName = "superadmin".parse().unwrap();
    for _ in 0..3 {
        let root = app.superadmin().await;
        let path = format!("POST /authy/role/superadmin/users/{}", root.id);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(PendingRequest::new(&app, &path, &root.token).await);
        }
        app.authy.roles().revoke(&operator(), &superadmin, root.id).await.unwrap();
        for request in held {
            let answer = request.finish().await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"));
        }
        let roles = app.authy.users().find_roles(root.id).await.unwrap().unwrap().roles;
        assert!(roles.is_empty(), "{roles:?}");
    }
}

#[tokio::test]
async fn a_deleted_administrator_does_not_restore_the_own_account() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let held = PendingRequest::new(&app, &format!("POST /authy/user/{}/restore", admin.id), &admin.token).await;
    app.authy.users().delete(&operator(), admin.id).await.unwrap();
    assert_eq!(held.finish().await.status, 401);
    assert!(app.authy.users().find(admin.id).await.unwrap().unwrap().deleted);
}
