//! A role whose defaults contradict what the statements rely on.

use authy_core::{
    Authy, ClientInfo,
    engine::{Caller, Delivery, MasterKeys},
};
use authy_tests::{
    cheap, credentials, database, essentials::try_essentials, fresh_name, new_user, pgbouncer::PgBouncer,
};
use tokio_postgres::Config;

/// Functions that a statement would call by mistake, and the defaults of the role.
const DEFAULTS: &str = "
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT '1999-01-01'::timestamptz$$;
    CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$SELECT '1999-01-01'::timestamptz$$;
    GRANT USAGE ON SCHEMA evil TO PUBLIC;
    ALTER ROLE hostile SET default_transaction_isolation = 'serializable';
    ALTER ROLE hostile SET default_transaction_read_only = on;
    ALTER ROLE hostile SET default_transaction_deferrable = on;
    ALTER ROLE hostile SET search_path = evil, pg_catalog;
    ALTER ROLE hostile SET DateStyle = 'German';
    ALTER ROLE hostile SET IntervalStyle = 'sql_standard';
    ALTER ROLE hostile SET TimeZone = 'Asia/Kolkata';
    ALTER ROLE hostile SET standard_conforming_strings = off;
    ALTER ROLE hostile SET client_encoding = 'LATIN1';
    ALTER ROLE hostile SET bytea_output = 'escape';
    ALTER ROLE hostile SET synchronous_commit = off;
    ALTER ROLE hostile SET jit = on;
    ALTER ROLE hostile SET statement_timeout = '300ms';
    ALTER ROLE hostile SET lock_timeout = '20ms';
    ALTER ROLE hostile SET idle_in_transaction_session_timeout = '500ms'";

/// What a connection would have to survive while nobody uses it. A pooler keeps its own connections alive.
const IDLE: &str = "ALTER ROLE hostile SET idle_session_timeout = '300ms'";

/// Returns an empty database, and a role that may connect to it and create a schema in it.
async fn hostile_role(defaults: &[&str]) -> (Config, Config) {
    let owner = database::empty().await;
    let (role, sql) = (fresh_name("hostile").replace('-', "_"), database::connect(&owner).await);
    let create =
        format!("CREATE ROLE hostile LOGIN; GRANT CREATE ON DATABASE {} TO hostile;", owner.get_dbname().unwrap());
    for part in [create.as_str()].iter().chain(defaults) {
        sql.batch_execute(&part.replace("hostile", &role)).await.unwrap();
    }
    let mut config = owner.clone();
    config.user(&role);
    (config, owner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_defaults_of_a_role_change_nothing() {
    let (config, owner) = hostile_role(&[DEFAULTS, IDLE]).await;
    try_essentials(&config, &owner, Delivery::PerSubject { in_flight: 4 }, |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_defaults_of_a_role_change_nothing_behind_a_pooler_either() {
    let (config, owner) = hostile_role(&[DEFAULTS]).await;
    let pgbouncer = PgBouncer::start(&config, "transaction", 6).await;
    try_essentials(&pgbouncer.config(&config), &owner, Delivery::Ordered { in_flight: 4 }, |_| ()).await;
}

/// Notes the settings with which events are written.
const NOTE_SETTINGS: &str = "
    CREATE TABLE public.noted (setting text, value text);
    CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO public.noted SELECT name, current_setting(name) FROM unnest(ARRAY[
            'transaction_isolation', 'synchronous_commit', 'DateStyle', 'TimeZone', 'standard_conforming_strings', 'jit']) name;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT ON authy.event FOR EACH ROW EXECUTE FUNCTION public.note()";

#[tokio::test]
async fn every_write_has_the_settings_that_it_relies_on() {
    for is_pooled in [false, true] {
        let (role, owner) = hostile_role(&[DEFAULTS]).await;
        let pgbouncer = PgBouncer::start(&role, "transaction", 6).await;
        let config = if is_pooled { pgbouncer.config(&role) } else { role };
        let start = Authy::builder(config).without_background().master_keys(MasterKeys::generate().unwrap());
        let authy = start.config(cheap()).start().await.unwrap();
        let sql = database::connect(&owner).await;
        sql.batch_execute(NOTE_SETTINGS).await.unwrap();
        // A transaction, and a statement alone.
        let (name, caller) = (fresh_name("ada"), Caller::anonymous(ClientInfo::default()));
        authy.users().register(&caller, new_user(&name)).await.unwrap();
        authy.sessions().login(&caller, credentials(&name)).await.unwrap();
        let noted = "SELECT setting, value, count(*) FROM public.noted GROUP BY 1, 2 ORDER BY 1";
        let noted = sql.query(noted, &[]).await.unwrap();
        let noted: Vec<_> = noted.iter().map(|row| (row.get::<_, &str>(0), row.get::<_, &str>(1))).collect();
        let expected = [
            ("DateStyle", "ISO, DMY"),
            ("TimeZone", "UTC"),
            ("jit", "off"),
            ("standard_conforming_strings", "on"),
            ("synchronous_commit", "on"),
            ("transaction_isolation", "read committed"),
        ];
        assert_eq!(noted, expected, "pooled: {is_pooled}");
    }
}

#[tokio::test]
async fn a_stronger_commit_than_the_engine_relies_on_stays() {
    let (config, _) = hostile_role(&["ALTER ROLE hostile SET synchronous_commit = remote_apply"]).await;
    let start = Authy::builder(config).without_background().master_keys(MasterKeys::generate().unwrap());
    let authy = start.config(cheap()).start().await.unwrap();
    let connection = authy.pool().get().await.unwrap();
    let row = connection.query_one("SELECT current_setting('synchronous_commit')", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "remote_apply");
}
