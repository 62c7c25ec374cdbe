//! Beside an admin listener the console is there, and nowhere else.

use authy_server::Server;
use authy_tests::unlimited;
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn beside_an_admin_listener_the_console_is_there_and_nowhere_else() {
    let app = TestApp::new().await;
    let root = app.superadmin().await;
    let (public, admin) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (here, there) = (public.local_addr().unwrap(), admin.local_addr().unwrap());
    let mut http = unlimited();
    with_pages(&mut http);
    let server = Server::new(app.authy.clone(), http).with_admin_listener(admin);
    tokio::spawn(server.serve(public, std::future::pending()));
    for (address, has_console) in [(here, false), (there, true)] {
        let mut visitor = Visitor { cookies: BTreeMap::new(), address };
        visitor.get("/authy/ui/login").await;
        assert_eq!(visitor.log_in(&root.username, PASSWORD).await.status, 303);
        let account = visitor.get("/authy/ui/account").await;
        assert_eq!(account.body.contains("/authy/ui/admin"), has_console, "{account:?}");
        // The same, but for the path in the switch of languages.
        let without = |answer: &Answer, path: &str| answer.body.replace(&path.replace('/', "&#x2f;"), "");
        let (opened, sent) = (visitor.get("/authy/ui/nothing").await, visitor.post("/authy/ui/nothing", "").await);
        for (route, methods, _) in
            MATRIX.iter().filter(|(_, _, visitors)| [Administrator, FullPower].contains(visitors))
        {
            for method in methods.split(' ') {
                let answer = match method {
                    "GET" => visitor.get(&path(route)).await,
                    _ => visitor.post(&path(route), "").await,
                };
                let unknown = if method == "GET" { &opened } else { &sent };
                let is_same = without(&answer, &path(route)) == without(unknown, "/authy/ui/nothing");
                let is_nothing = answer.status == 404 && is_same;
                assert!(!is_nothing || !has_console || route.contains('{'), "{method} {route}: {answer:?}");
                assert!(is_nothing || has_console, "{method} {route}: {answer:?}");
            }
        }
    }
}
