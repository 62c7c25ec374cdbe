//! From settings to a server that runs: the database, the master key, the engine.

use std::{error::Error, fs, io, path::Path, sync::Arc, time::Duration};

use authy_core::{
    Authy,
    engine::{Builder, Caller, ClientInfo, Config, HashConfig, MasterKeys},
    file::{self, Content},
};
use authy_postgres::Cluster;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use zeroize::Zeroizing;

use crate::{
    HttpConfig, Limits, Server,
    config::{DatabaseUrl, List, Settings},
    sink::{self, PublicUrl},
};

/// Why something cannot be started; its text says what to do.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The database, and the cluster it is in when that is our own.
pub(crate) struct Database {
    config: tokio_postgres::Config,
    cluster: Option<Cluster>,
    keys: MasterKeys,
}

/// Whether a database that a server is using already will do.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sharing {
    /// It must be ours alone: a second server beside the first would be a mistake.
    Alone,
    /// A command beside a server that runs.
    Beside,
}

impl Database {
    /// Opens the database that is configured, or the one in the data folder, which is made when it is not there.
    pub(crate) async fn open(settings: &Settings, sharing: Sharing) -> Result<Self, Failure> {
        if let Some(DatabaseUrl(config)) = &settings.database_url {
            let keys = settings.master_key.clone().ok_or(
                "with AUTHY_DATABASE_URL a master key is required: set AUTHY_MASTER_KEY or AUTHY_MASTER_KEY_FILE \
                 to base64 of 32 random bytes, as `openssl rand -base64 32` prints it, and keep it",
            )?;
            return Ok(Self { config: config.clone(), cluster: None, keys });
        }
        let data_dir = &settings.data_dir;
        fs::create_dir_all(data_dir).map_err(|error| {
            let shown = data_dir.display();
            format!(
                "the data folder {shown} (AUTHY_DATA_DIR) cannot be made: {error}; for a PostgreSQL of yours, set \
                     AUTHY_DATABASE_URL"
            )
        })?;
        let keys = match &settings.master_key {
            Some(keys) => keys.clone(),
            None => master_key(&data_dir.join("master.key"), &data_dir.join("postgres"))?,
        };
        let running = authy_postgres::running(data_dir).filter(|_| sharing == Sharing::Beside);
        if let Some(config) = running {
            return Ok(Self { config, cluster: None, keys });
        }
        let mut cluster = Cluster::builder(data_dir);
        if let Some(programs) = &settings.pg_bin {
            cluster = cluster.programs(programs);
        }
        let cluster = cluster.start().await?;
        Ok(Self { config: cluster.config(), cluster: Some(cluster), keys })
    }

    /// The engine on this database, not yet started.
    pub(crate) fn engine(&self, settings: &Settings, issuer: &str) -> Builder {
        let builder = Authy::builder(self.config.clone()).master_keys(self.keys.clone()).roots(settings.roots());
        builder.config(engine_config(settings, issuer))
    }

    /// Stops the cluster, when it is our own.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self.cluster {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}

/// How often a server tests its own revocations: often enough to notice a fault soon, and one row a minute costs next to nothing.
const SELF_TEST: Duration = Duration::from_secs(60);

/// The master key in a file, which is made with a fresh key when there is neither file nor database.
fn master_key(path: &Path, cluster: &Path) -> Result<MasterKeys, Failure> {
    let shown = path.display();
    match file::read_text(path, Content::Secret).map(Zeroizing::new) {
        Ok(text) => MasterKeys::parse(&text).map_err(|error| format!("{shown}: {}", error.detail()).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && cluster.exists() => Err(format!(
            "{shown} is missing, and the database beside it was sealed with it: put it back, or set AUTHY_MASTER_KEY. \
             Without it nobody can log in any more"
        )
        .into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A folder that another user made first, in /tmp say, is theirs.
            let folder = path.parent().unwrap_or(Path::new("."));
            file::check_folder(folder).map_err(|error| format!("{shown} is not made: {error}"))?;
            let keys = MasterKeys::generate()?;
            write_secret(path, &keys.to_base64()).map_err(|error| format!("{shown} cannot be written: {error}"))?;
            Ok(keys)
        }
        Err(error) => Err(format!("{shown} cannot be used: {error}").into()),
    }
}

/// Writes a file that only its owner can read, all of it or nothing, and never over another.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    // A temporary file has mode 0600 from the beginning.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    fs::File::open(folder)?.sync_all()
}

fn engine_config(settings: &Settings, issuer: &str) -> Config {
    let defaults = Config::default();
    let threads = settings.hash_threads.unwrap_or(defaults.hash.threads);
    let reserved = settings.reserved_usernames.clone();
    Config {
        issuer: issuer.to_owned(),
        audience: settings.audience.clone(),
        signing_algorithm: settings.signing_alg,
        access_ttl: settings.access_ttl,
        refresh_idle: settings.refresh_idle,
        refresh_absolute: settings.refresh_absolute,
        refresh_grace: settings.refresh_grace,
        max_staleness: settings.max_staleness,
        self_test: settings.self_test.then_some(SELF_TEST),
        jwks_max_age: settings.jwks_max_age,
        key_rotation: settings.key_rotation,
        event_retention: settings.event_retention,
        require_validated: settings.require_validated,
        admin_sets_passwords: settings.admin_sets_passwords,
        change_password_url: settings.change_password_url.as_ref().map(|page| page.0.clone()),
        reserved_usernames: reserved.map_or(defaults.reserved_usernames, |List(names)| names),
        pwned_passwords: settings.pwned_passwords.clone(),
        hash: HashConfig { threads, queue: settings.hash_queue.unwrap_or(64 * threads), argon2: settings.argon2 },
        ..defaults
    }
}

fn http_config(settings: &Settings) -> HttpConfig {
    HttpConfig {
        trusted_proxies: settings.trusted_proxies.0.clone(),
        follower_networks: settings.follower_networks.0.clone(),
        require_https: settings.require_https,
        cors_origins: settings.cors_origins.0.iter().map(|origin| origin.0.clone()).collect(),
        limits: Limits {
            login: settings.limit_login.clone(),
            register: settings.limit_register.clone(),
            validate: settings.limit_validate.clone(),
            forgot: settings.limit_forgot.clone(),
            default: settings.limit_default.clone(),
        },
        ..HttpConfig::default()
    }
}

/// Where people reach this server, as far as is known.
fn public_url(settings: &Settings, listening: &str) -> String {
    let issuer = || settings.issuer.as_ref()?.parse().ok();
    let url: Option<PublicUrl> = settings.public_url.clone().or_else(issuer);
    url.map_or_else(|| listening.to_owned(), |url| url.as_str().to_owned())
}

/// Lets this process have as many connections as it is allowed to: many systems begin with 1024, and allow many more.
fn raise_file_limit() {
    let allowed = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::warn!(%error, "the number of connections stays as limited as it was");
    }
}

/// Serves until the process is told to end.
pub(crate) async fn serve(settings: &Settings) -> Result<(), Failure> {
    sink::check(settings)?;
    raise_file_limit();
    // First of all: when the address is taken, nothing else has been started in vain.
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| format!("cannot listen on {} (AUTHY_LISTEN): {error}", settings.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let database = Database::open(settings, Sharing::Alone).await?;
    let served = async {
        let authy = database.engine(settings, settings.issuer.as_deref().unwrap_or(&url)).start().await?;
        let sinks = sink::sinks(settings, &authy, &public_url(settings, &url))?;
        let background = authy.start_background_with(sinks).await?;
        println!("authy {}", env!("CARGO_PKG_VERSION"));
        if settings.database_url.is_none() {
            println!("data folder: {}", settings.data_dir.display());
        }
        if let Some((name, password)) =
            authy.users().create_first_administrator(&Caller::operator(ClientInfo::default())).await?
        {
            println!("first administrator: {name}, password (shown this once): {}", password.expose());
        }
        // The last line: whoever waits for the server waits for this.
        println!("listening on {url}");
        let told = Arc::new(tokio::sync::Notify::new());
        let stop = {
            let told = told.clone();
            async move { told.notified().await }
        };
        let mut serving = tokio::spawn(Server::new(authy, http_config(settings)).serve(listener, stop));
        tokio::select! {
            ended = &mut serving => return Ok::<_, Failure>(ended??),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: the requests under way are answered first");
        told.notify_one();
        tokio::select! {
            ended = &mut serving => ended??,
            // Somebody is in a hurry.
            _ = interrupt.recv() => serving.abort(),
            _ = terminate.recv() => serving.abort(),
        }
        drop(background);
        Ok(())
    };
    let result = served.await;
    let closed = database.close().await;
    result.and(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_made_once_for_its_owner_only_and_never_in_place_of_a_lost_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (file, cluster) = (folder.path().join("master.key"), folder.path().join("postgres"));
        let made = master_key(&file, &cluster).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*master_key(&file, &cluster).unwrap().to_base64(), *made.to_base64());
        fs::create_dir(&cluster).unwrap();
        fs::remove_file(&file).unwrap();
        let error = master_key(&file, &cluster).unwrap_err().to_string();
        assert!(error.contains("put it back"), "{error}");
        fs::write(&file, "nonsense").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(master_key(&file, &cluster).unwrap_err().to_string().contains("32 random bytes"));
        // A user who can read it can make tokens, and one who can write its folder can put another in its place.
        for (path, mode, said) in
            [(&*file, 0o644, "read by other users"), (folder.path(), 0o777, "written by other users")]
        {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let error = master_key(&file, &cluster).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            fs::set_permissions(path, fs::Permissions::from_mode(if path == file { 0o600 } else { 0o777 })).unwrap();
        }
        fs::remove_file(&file).unwrap();
        fs::remove_dir(&cluster).unwrap();
        let error = master_key(&file, &cluster).unwrap_err().to_string();
        assert!(error.contains("is not made") && !file.exists(), "{error}");
    }
}
