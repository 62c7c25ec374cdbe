//! The program: reads its settings, serves the shop, and stops at Control-C.

use std::{env, error::Error, net::SocketAddr, path::Path};

use authy_core::{
    ClientInfo,
    engine::{Caller, MasterKeys, tokio_postgres},
    file::{self, Content},
};
use authy_server::{HttpConfig, sink::Mails};
use tokio::{net::TcpListener, signal};

type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result {
    // Authy logs with `tracing`: each error with its cause, and the path of each mail in the folder.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let (database, keys) = (database()?, master_keys()?);
    let listener = TcpListener::bind(setting("SHOP_LISTEN", "127.0.0.1:3000")).await?;
    let address = format!("http://{}", listener.local_addr()?);
    let url = setting("SHOP_URL", &address);
    let mails = mails(&url)?.with(|config| config.service("The shop"));
    let authy = authy_example_shop::start(database, keys, url, mails).await?;

    let operator = Caller::operator(ClientInfo::default());
    if let Some((name, password)) = authy.users().create_first_administrator(&operator).await? {
        println!("administrator: {name} {}", password.expose());
    }
    println!("listening on {address}");
    let api = authy_server::service(authy.clone(), HttpConfig::default());
    let app = authy_example_shop::router(authy.clone(), api.clone());
    let stop = async move {
        let _ = signal::ctrl_c().await;
        // Otherwise a service that follows revocations would keep its connection, and the shop, open.
        api.end_streams();
    };
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(stop).await?;
    authy.stop().await;
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or(default.to_owned())
}

fn database() -> Result<tokio_postgres::Config> {
    let database =
        env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL, such as host=localhost user=shop dbname=shop")?;
    database.parse().map_err(|cause| format!("DATABASE_URL: {cause}").into())
}

fn master_keys() -> Result<MasterKeys> {
    let path = setting("SHOP_MASTER_KEY_FILE", "master.key");
    let text = file::read_text(Path::new(&path), Content::Secret)
        .map_err(|cause| format!("SHOP_MASTER_KEY_FILE, {path}: {cause}"))?;
    Ok(MasterKeys::parse(&text)?)
}

fn mails(url: &str) -> Result<Mails> {
    Ok(match env::var("SHOP_SMTP_URL") {
        Ok(smtp) => {
            let from = env::var("SHOP_MAIL_FROM").map_err(|_| "SHOP_SMTP_URL needs SHOP_MAIL_FROM")?;
            Mails::smtp(&smtp, &from, url)?
        }
        Err(_) => Mails::folder("mail", url)?,
    })
}
