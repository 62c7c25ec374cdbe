//! Starts the service: its settings and how to try it are in the documentation of the library.

use std::{error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use authy_example_sibling::{
    bidders::Bidders,
    routes::Service,
    settings::{Settings, chain},
};
use tokio::{
    net::TcpListener,
    signal,
    sync::oneshot::{self, Receiver},
    task::JoinHandle,
};

/// Pause between two rounds of the background job.
const LOOK_UP_PERIOD: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let authy = settings.client()?;
    let service = Service::new(settings.verifier(&authy).await?, authy)?;
    let (stop, stopped) = oneshot::channel();
    let job = start_job(&settings, &service, stopped).await?;

    let app = service.into_router().into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind(settings.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(async { drop(signal::ctrl_c().await) }).await?;
    drop(stop);
    if let Some(job) = job {
        job.await?;
    }
    Ok(())
}

async fn start_job(
    settings: &Settings,
    service: &Service,
    stopped: Receiver<()>,
) -> Result<Option<JoinHandle<()>>, Box<dyn Error>> {
    let Some(account) = settings.account.clone() else { return Ok(None) };
    let bidders = Bidders::log_in(service.authy.clone(), account, service.bids.clone()).await;
    let bidders = bidders.map_err(|error| format!("BIDS_ACCOUNT: cannot log in: {}", chain(&error)))?;
    Ok(Some(tokio::spawn(bidders.run(LOOK_UP_PERIOD, async { drop(stopped.await) }))))
}
