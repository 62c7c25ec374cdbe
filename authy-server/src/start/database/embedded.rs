//! A PostgreSQL in the data folder, and the master key beside it.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use authy_core::{
    engine::MasterKeys,
    error::chain,
    file::{self, Content},
};
use authy_postgres::Cluster;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;
use zeroize::Zeroizing;

use super::{Database, Sharing};
use crate::{config::Settings, start::BoxError};

/// Opens the database in the data folder. A server creates it when there is none, and so does an import. Another command does not,
/// because it was probably run in the wrong folder.
pub(super) async fn open(settings: &Settings, sharing: Sharing) -> Result<Database, BoxError> {
    let data_dir = &settings.data_dir;
    if sharing == Sharing::Beside && is_missing(settings) {
        let shown = data_dir.display();
        return Err(format!(
            "there is no database in {shown} (AUTHY_DATA_DIR): run this where the server was started, or name its data folder or its \
             AUTHY_DATABASE_URL. `authy-server serve` creates a database"
        )
        .into());
    }
    fs::create_dir_all(data_dir).map_err(|error| {
        let shown = data_dir.display();
        format!(
            "the data folder {shown} (AUTHY_DATA_DIR) cannot be created: {error}; to use an existing PostgreSQL, set \
             AUTHY_DATABASE_URL"
        )
    })?;
    let keys = match &settings.master_key {
        Some(keys) => keys.clone(),
        None => master_key(&data_dir.join("master.key"), &data_dir.join("postgres"))?,
    };
    if sharing != Sharing::Alone
        && let Some(config) = running(data_dir, settings.command_timeout()).await?
    {
        return Ok(Database { config, cluster: None, keys });
    }
    let mut cluster = Cluster::builder(data_dir);
    if let Some(programs) = &settings.pg_bin {
        cluster = cluster.programs(programs);
    }
    let cluster = cluster.start().await?;
    Ok(Database { config: cluster.config(), cluster: Some(cluster), keys })
}

/// Returns how to connect to the PostgreSQL that runs in the data folder. Waits for one that is starting, and for one whose server was
/// killed and which is therefore ending: then there is none.
async fn running(data_dir: &Path, limit: Duration) -> Result<Option<tokio_postgres::Config>, BoxError> {
    let begun = Instant::now();
    while let Some(config) = authy_postgres::running(data_dir) {
        let time = limit.saturating_sub(begun.elapsed()).clamp(MIN_ATTEMPT, MAX_ATTEMPT);
        let failure = match timeout(time, config.connect(NoTls)).await {
            Ok(Ok(_)) => return Ok(Some(config)),
            Ok(Err(error)) => chain(&error).to_string(),
            Err(_) => format!("no answer within {time:?}"),
        };
        if begun.elapsed() >= limit {
            let shown = data_dir.display();
            return Err(format!("the PostgreSQL in {shown} neither answers nor ends: {failure}").into());
        }
        sleep(RUNNING_INTERVAL).await;
    }
    Ok(None)
}

pub(super) fn is_running(settings: &Settings) -> bool {
    authy_postgres::running(&settings.data_dir).is_some()
}

pub(super) fn is_missing(settings: &Settings) -> bool {
    !settings.data_dir.join("postgres").exists()
}

pub(super) fn has_ended(database: &Database, settings: &Settings) -> bool {
    database.cluster.is_none() && authy_postgres::running(&settings.data_dir).is_none()
}

/// Maximum time for an answer. The socket of a process that is stopped takes connections, and nothing ever answers.
const MAX_ATTEMPT: Duration = Duration::from_secs(2);

/// Minimum time for an answer, also at the end of the wait and when there is none.
const MIN_ATTEMPT: Duration = Duration::from_millis(250);

/// Interval at which a PostgreSQL that starts or ends is asked again.
const RUNNING_INTERVAL: Duration = Duration::from_millis(50);

/// Reads the master key from a file, which is created with a new key when there is neither the file nor a database.
fn master_key(path: &Path, cluster: &Path) -> Result<MasterKeys, BoxError> {
    let shown = path.display();
    match file::read_text(path, Content::Secret).map(Zeroizing::new) {
        Ok(text) => MasterKeys::parse(&text).map_err(|error| format!("{shown}: {}", error.detail()).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && cluster.exists() => Err(format!(
            "{shown} is missing, and the database beside it was encrypted with it: put it back, or set AUTHY_MASTER_KEY. \
             Without it no user can log in"
        )
        .into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A folder that another user created first, in /tmp for example, belongs to that user.
            let folder = path.parent().unwrap_or(Path::new("."));
            file::check_folder(folder).map_err(|error| format!("{shown} is not created: {error}"))?;
            let keys = MasterKeys::generate()?;
            write_secret(path, &keys.to_base64()).map_err(|error| format!("{shown} cannot be written: {error}"))?;
            Ok(keys)
        }
        Err(error) => Err(format!("{shown} cannot be used: {error}").into()),
    }
}

/// Writes a file that only its owner can read, completely or not at all, and never replaces a file.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_created_once_for_its_owner_only_and_never_in_place_of_a_lost_one() {
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
        // A user who can read it can issue tokens, and one who can write its folder can replace it.
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
        assert!(error.contains("is not created") && !file.exists(), "{error}");
    }
}
