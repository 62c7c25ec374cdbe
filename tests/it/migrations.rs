//! Migrations are applied while servers of the last release run: they block none of them for long, and remove nothing
//! that they use.

use std::{collections::BTreeSet, fs};

use authy_tests::tools;

mod lint;

use lint::{Context, Finding, lint};

use crate::upgrade::Release;

/// What the migrations from before these rules do. There was no release whose servers they could block, and an applied
/// migration never changes.
const EARLIER: &[(&str, &[&str])] = &[
    ("V06__refresh.sql", &["lock-timeout"]),
    ("V08__key_life.sql", &["lock-timeout"]),
    ("V10__event_key.sql", &["adding-serial-primary-key-field", "constraint-missing-not-valid", "lock-timeout"]),
    ("V12__erasure.sql", &["check-of-new-column", "lock-timeout"]),
    ("V14__webhook.sql", &["adding-field-with-default", "lock-timeout", "require-concurrent-index-creation"]),
    ("V15__issued_session.sql", &["lock-timeout"]),
    ("V16__sink_error.sql", &["lock-timeout"]),
    ("V20__email_owners.sql", &["require-concurrent-index-creation", "unique-for-older-writes"]),
    ("V23__sink_status.sql", &["lock-timeout", "require-concurrent-index-creation"]),
    ("V24__anonymous_actor.sql", &["check-of-older-writes", "lock-timeout"]),
];

/// Returns the names and the texts of all migrations.
fn migrations() -> Vec<(String, String)> {
    let files = fs::read_dir(tools::root().join("migrations")).unwrap().map(|entry| entry.unwrap().path());
    let named = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let mut migrations: Vec<_> = named.map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect();
    migrations.sort();
    migrations
}

fn context() -> Context {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let in_use = Release::statements().iter().flat_map(|text| text.split(is_end)).map(ToOwned::to_owned).collect();
    let source = fs::read_to_string(tools::root().join("authy-core/src/engine/storage/migrate.rs")).unwrap();
    let names = source.split("name: \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    Context { in_use, large_indexes: names.collect() }
}

#[test]
fn no_migration_blocks_servers_or_removes_what_they_use() {
    let context = context();
    let mut wrong = Vec::new();
    for (name, text) in migrations() {
        let earlier = EARLIER.iter().find(|(earlier, _)| *earlier == name).map_or(&[] as &[_], |(_, rules)| rules);
        let findings = lint(&text, &context);
        let rules: BTreeSet<_> = findings.iter().map(|finding| finding.rule.clone()).collect();
        assert!(earlier.iter().all(|rule| rules.contains(*rule)), "{name} has changed since it was applied: {rules:?}");
        let new = findings.into_iter().filter(|finding| !earlier.contains(&finding.rule.as_str()));
        wrong.extend(new.map(|Finding { line, rule, way }| format!("migrations/{name}:{line}: {rule}: {way}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_refuses_its_example() {
    let context = context();
    for (rule, example) in [
        ("require-concurrent-index-creation", "CREATE INDEX users_by_ver ON authy.users (ver)"),
        ("require-concurrent-index-creation", "CREATE INDEX IF NOT EXISTS users_by_ver ON authy.users (ver)"),
        ("require-concurrent-index-creation", "CREATE INDEX users_deleted ON authy.users (created)"),
        ("ban-concurrent-index-creation-in-transaction", "CREATE INDEX CONCURRENTLY i ON authy.users (ver)"),
        ("adding-serial-primary-key-field", "ALTER TABLE authy.code ADD PRIMARY KEY (code_id)"),
        ("disallowed-unique-constraint", "ALTER TABLE authy.role ADD CONSTRAINT one UNIQUE (description)"),
        ("disallowed-unique-constraint", "ALTER TABLE authy.role ADD COLUMN icon text UNIQUE"),
        ("constraint-missing-not-valid", "ALTER TABLE authy.role ADD CONSTRAINT c CHECK (level < 9)"),
        ("adding-foreign-key-constraint", "ALTER TABLE authy.code ADD FOREIGN KEY (user_id) REFERENCES authy.users"),
        ("adding-foreign-key-constraint", "ALTER TABLE authy.code ADD COLUMN by uuid REFERENCES authy.users"),
        ("adding-not-nullable-field", "ALTER TABLE authy.session ALTER COLUMN rotated SET NOT NULL"),
        ("adding-field-with-default", "ALTER TABLE authy.users ADD COLUMN tag uuid DEFAULT gen_random_uuid()"),
        ("adding-required-field", "ALTER TABLE authy.users ADD COLUMN locale text NOT NULL"),
        ("changing-column-type", "ALTER TABLE authy.users ALTER COLUMN ver TYPE integer"),
        ("renaming-column", "ALTER TABLE authy.users RENAME COLUMN ver TO epoch"),
        ("renaming-table", "ALTER TABLE authy.users RENAME TO account"),
        ("ban-drop-not-null", "ALTER TABLE authy.users ALTER COLUMN email DROP NOT NULL"),
        ("ban-drop-column", "ALTER TABLE authy.session DROP COLUMN user_agent"),
        ("ban-drop-table", "DROP TABLE authy.spent_code"),
        ("transaction-nesting", "BEGIN"),
        ("check-of-new-column", "ALTER TABLE authy.users ADD COLUMN age integer CHECK (age > 0)"),
        ("opaque-block", "DO $$ BEGIN DELETE FROM authy.users; END $$"),
        ("long-lock", "LOCK TABLE authy.users"),
        ("long-lock", "CLUSTER authy.users USING users_deleted"),
        ("long-lock", "VACUUM FULL authy.users"),
        ("long-lock", "REINDEX TABLE authy.users"),
        ("long-lock", "ALTER TABLE authy.users SET UNLOGGED"),
        ("check-of-older-writes", "ALTER TABLE authy.role ADD CONSTRAINT c CHECK (level < 9) NOT VALID"),
        ("check-of-older-writes", "ALTER TABLE authy.code ADD FOREIGN KEY (user_id) REFERENCES authy.users NOT VALID"),
        (
            "trigger-on-older-writes",
            "CREATE TRIGGER t BEFORE UPDATE ON authy.users EXECUTE FUNCTION authy.keep_event()",
        ),
        ("unique-for-older-writes", "CREATE UNIQUE INDEX IF NOT EXISTS users_deleted ON authy.users (created)"),
        ("bulk-change", "UPDATE authy.users SET ver = ver + 1"),
        ("bulk-change", "DELETE FROM authy.code"),
        ("bulk-change", "TRUNCATE authy.code"),
    ] {
        let found = lint(&format!("SET LOCAL lock_timeout = '10s';\n{example};"), &context);
        let rules: Vec<_> = found.iter().map(|finding| (finding.line, finding.rule.as_str())).collect();
        assert!(rules.contains(&(2, rule)), "{example}: {found:?}");
    }
    for example in [
        "ALTER TABLE authy.users ADD COLUMN locale text",
        "DROP INDEX authy.users_deleted",
        "-- Servers of the last release write no such row.
         -- squawk-ignore trigger-on-older-writes
         CREATE TRIGGER t BEFORE UPDATE ON authy.users FOR EACH ROW EXECUTE FUNCTION authy.keep_event()",
        "CREATE TABLE authy.note (user_id uuid REFERENCES authy.users)",
        // A limit of the session, not of the migration.
        "SET lock_timeout = '10s'; ALTER TABLE authy.users ADD COLUMN locale text",
    ] {
        let found = lint(&format!("{example};"), &context);
        assert!(matches!(&found[..], [Finding { rule, .. }] if rule == "lock-timeout"), "{example}: {found:?}");
    }
    let found = lint("ALTER TABEL authy.users;", &context);
    assert!(matches!(&found[..], [Finding { line: 1, rule, .. }, ..] if rule.starts_with("syntax")), "{found:?}");
}

#[test]
fn a_migration_may_extend_the_schema_and_do_what_it_wants_with_its_own_tables() {
    let good = "
        SET LOCAL lock_timeout = '10s';
        ALTER TABLE authy.users ADD COLUMN locale text, ADD COLUMN is_new boolean NOT NULL DEFAULT false,
            ADD CONSTRAINT locale_is_short CHECK (length(locale) < 36) NOT VALID;
        -- The last release writes no such row.
        -- squawk-ignore check-of-older-writes
        ALTER TABLE authy.users ADD CONSTRAINT ver_is_positive CHECK (ver > 0) NOT VALID;
        CREATE INDEX IF NOT EXISTS users_deleted ON authy.users (created, public_id) WHERE deleted_at IS NOT NULL;
        ALTER TABLE authy.session DROP COLUMN no_statement_names_it;
        DROP TABLE authy.no_statement_names_it_either;
        UPDATE authy.event_cursor SET error = NULL WHERE sink = 'mail';
        CREATE TABLE authy.note (note_id uuid PRIMARY KEY, user_id uuid REFERENCES authy.users, body text NOT NULL);
        CREATE INDEX note_by_user ON authy.note (user_id);
        ALTER TABLE authy.note ADD CONSTRAINT body_is_short CHECK (length(body) < 9), ALTER COLUMN body TYPE varchar;
        INSERT INTO authy.note SELECT gen_random_uuid(), public_id, '' FROM authy.users;
        UPDATE authy.note SET body = 'x';
        CREATE FUNCTION authy.note_count() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM authy.note $$;";
    assert_eq!(lint(good, &context()), []);
    // As squawk has it: the rule, and behind it the reason.
    let small = "SET LOCAL lock_timeout = '10s';
        -- There are only a few roles.
        -- squawk-ignore require-concurrent-index-creation
        CREATE INDEX role_by_description ON authy.role (description);";
    assert_eq!(lint(small, &context()), []);
}
