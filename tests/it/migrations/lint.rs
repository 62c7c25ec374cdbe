//! Finds statements of a migration that block a running server for long, or that break a server of the last release.

use std::collections::HashSet;

use squawk_linter::{Linter, LinterSettings, Rule, analyze::possibly_slow_stmt};
use squawk_syntax::{
    Parse, SourceFile, SyntaxNode,
    ast::{AlterTableAction, AstNode as _, Constraint, NameRef, Path, Stmt},
};

/// The rules of squawk that a migration has to meet, each with what to do instead. Those that are left out are matters
/// of style, or are decided more exactly below.
const RULES: &[(Rule, &str)] = &[
    (Rule::RequireConcurrentIndexCreation, LARGE_INDEX),
    (Rule::BanConcurrentIndexCreationInTransaction, LARGE_INDEX),
    (Rule::AddingSerialPrimaryKeyField, UNIQUE_INDEX),
    (Rule::DisallowedUniqueConstraint, UNIQUE_INDEX),
    (Rule::ConstraintMissingNotValid, NOT_VALID),
    (Rule::AddingForeignKeyConstraint, NOT_VALID),
    (Rule::AddingNotNullableField, "the whole table is read under a lock: add a CHECK (… IS NOT NULL) NOT VALID"),
    (
        Rule::AddingFieldWithDefault,
        "the whole table is rewritten: add the column without that default, and let the program fill it in",
    ),
    (Rule::AddingRequiredField, "older servers write rows without it: give it a constant default, or let it be NULL"),
    (
        Rule::ChangingColumnType,
        "the whole table is rewritten: add a column, write both, and drop the old one two releases later",
    ),
    (
        Rule::RenamingColumn,
        "older servers use the old name: add a column, write both, and drop the old one two releases later",
    ),
    (Rule::RenamingTable, "older servers use the old name: keep it"),
    (Rule::BanDropNotNull, "older servers cannot read NULL: read it in this release, and allow it in the next one"),
    (Rule::BanDropColumn, STILL_IN_USE),
    (Rule::BanDropTable, STILL_IN_USE),
    (Rule::TransactionNesting, "a migration is one transaction already: leave it out"),
];

const LARGE_INDEX: &str = "writes are blocked while the index is built: list it in LARGE_INDEXES of \
                           engine/storage/migrate.rs, and write CREATE INDEX IF NOT EXISTS";
const UNIQUE_INDEX: &str = "all access is blocked while the index is built: list a unique index in LARGE_INDEXES of \
                            engine/storage/migrate.rs, and add the constraint USING INDEX, or leave it at the index";
const NOT_VALID: &str = "the whole table is read under a lock: add it NOT VALID, and VALIDATE it in a later migration";
const STILL_IN_USE: &str =
    "a statement of the last release names it: let this release stop using it, and drop it in the next one";
const REFUSES_WRITES: &str = "it can refuse what servers of the last release write, although their statements fit: let this release write only what it accepts, \
     and add it in the next one. Then say so above it, with -- squawk-ignore and the rule";
const LOCK_TIMEOUT: &str = "it waits for every older transaction, and all others wait behind it: begin with \
                            SET LOCAL lock_timeout = '10s'";
const BULK_CHANGE: &str =
    "every row is written in one transaction: let the maintenance of the program do it, in batches";
const LONG_LOCK: &str = "it blocks the table for long: leave it to the operator or to autovacuum";
const UNREADABLE: &str = "what it does cannot be checked: write the statements themselves";

/// A statement that is refused.
#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    /// The line on which the statement begins, from 1.
    pub(super) line: usize,
    /// The name of the rule: one of squawk's, or one of this file.
    pub(super) rule: String,
    /// What it does, and what to do instead.
    pub(super) way: &'static str,
}

/// What the lint has to know besides the migration.
pub(super) struct Context {
    /// The names in the statements of the last release.
    pub(super) in_use: HashSet<String>,
    /// The indexes that are built before the migrations, without blocking writes.
    pub(super) large_indexes: HashSet<String>,
}

/// Returns what is wrong with a migration, in the order of its statements.
pub(super) fn lint(text: &str, context: &Context) -> Vec<Finding> {
    let parsed = SourceFile::parse(text);
    let line = |offset: usize| text[..offset].matches('\n').count() + 1;
    if let Some(error) = parsed.errors().first() {
        let rule = format!("syntax: {}", error.message());
        return vec![Finding { line: line(error.range().start().into()), rule, way: UNREADABLE }];
    }
    let file = parsed.tree();
    let violations = violations(&parsed, text);
    let created: HashSet<_> = file.stmts().filter_map(|statement| created_table(&statement)).collect();
    let (mut findings, mut has_timeout) = (Vec::new(), false);
    for statement in file.stmts() {
        has_timeout |= sets_lock_timeout(&statement);
        // Nobody uses a table that the migration creates.
        if table(&statement).is_some_and(|table| created.contains(&table)) {
            continue;
        }
        let (start, end) = extent(statement.syntax());
        if let Some(rule) = refuses_writes(&statement).filter(|rule| !is_ignored(&text[..start], rule)) {
            findings.push(Finding { line: line(start), rule: rule.to_owned(), way: REFUSES_WRITES });
        }
        if builds_large_index(&statement, context) {
            continue;
        }
        let refused = |rule: Rule| {
            let is_drop = matches!(rule, Rule::BanDropColumn | Rule::BanDropTable);
            !is_drop || dropped(&statement).iter().any(|name| context.in_use.contains(name))
        };
        let of_squawk = violations.iter().filter(|(at, rule, _)| (start..end).contains(at) && refused(*rule));
        findings.extend(of_squawk.map(|(at, rule, way)| Finding { line: line(*at), rule: rule.to_string(), way }));
        let waits = takes_lock(&statement) && !has_timeout;
        let own = [own_rule(&statement), waits.then_some(("lock-timeout", LOCK_TIMEOUT))];
        let own = own.into_iter().flatten();
        findings.extend(own.map(|(rule, way)| Finding { line: line(start), rule: rule.to_owned(), way }));
    }
    findings
}

/// Returns what squawk finds: where, which rule, and what to do.
fn violations(parsed: &Parse<SourceFile>, text: &str) -> Vec<(usize, Rule, &'static str)> {
    let mut linter = Linter::from(RULES.iter().map(|(rule, _)| *rule).collect::<HashSet<_>>());
    linter.settings = LinterSettings { assume_in_transaction: true, ..LinterSettings::default() };
    // Not that it does not know a rule of this file that is turned off.
    let way = |rule: Rule| RULES.iter().find(|(known, _)| *known == rule).map(|(_, way)| *way);
    let found = linter.lint(parsed, text).into_iter();
    found.filter_map(|found| Some((found.text_range.start().into(), found.code, way(found.code)?))).collect()
}

/// Returns what squawk has no rule for.
fn own_rule(statement: &Stmt) -> Option<(&'static str, &'static str)> {
    match statement {
        Stmt::Do(_) => Some(("opaque-block", UNREADABLE)),
        Stmt::Lock(_) | Stmt::Cluster(_) | Stmt::Vacuum(_) | Stmt::Reindex(_) | Stmt::Refresh(_) => {
            Some(("long-lock", LONG_LOCK))
        }
        Stmt::Truncate(_) => Some(("bulk-change", BULK_CHANGE)),
        Stmt::Update(update) if update.where_clause().is_none() => Some(("bulk-change", BULK_CHANGE)),
        Stmt::Delete(delete) if delete.where_clause().is_none() => Some(("bulk-change", BULK_CHANGE)),
        Stmt::AlterTable(alter) => alter.actions().find_map(|action| match action {
            AlterTableAction::AddColumn(column) => {
                let is_check = |constraint| matches!(constraint, Constraint::CheckConstraint(_));
                column.constraints().any(is_check).then_some(("check-of-new-column", NOT_VALID))
            }
            AlterTableAction::SetAccessMethod(_)
            | AlterTableAction::SetLogged(_)
            | AlterTableAction::SetUnlogged(_)
            | AlterTableAction::SetTablespace(_) => Some(("long-lock", LONG_LOCK)),
            _ => None,
        }),
        _ => None,
    }
}

/// Returns the rule about a statement that makes the database refuse rows which it accepted before. The statements of the last release
/// still fit the schema, and fail when they run.
fn refuses_writes(statement: &Stmt) -> Option<&'static str> {
    match statement {
        Stmt::CreateTrigger(_) => Some("trigger-on-older-writes"),
        Stmt::CreateIndex(index) => index.unique_token().map(|_| "unique-for-older-writes"),
        Stmt::AlterTable(alter) => {
            let new: HashSet<_> = alter.actions().filter_map(|action| added_column(&action)).collect();
            let constraints = alter.actions().filter_map(|action| match action {
                AlterTableAction::AddConstraint(add) => add.constraint(),
                _ => None,
            });
            // One about a column that older servers do not write sees its default, or NULL.
            let mut older =
                constraints.filter(|constraint| !names(constraint.syntax()).any(|name| new.contains(&name)));
            older.find_map(|constraint| match constraint {
                Constraint::CheckConstraint(_) | Constraint::ForeignKeyConstraint(_) => Some("check-of-older-writes"),
                _ => None,
            })
        }
        _ => None,
    }
}

fn added_column(action: &AlterTableAction) -> Option<String> {
    let AlterTableAction::AddColumn(add) = action else { return None };
    add.name().map(|name| name.text().to_string())
}

fn names(node: &SyntaxNode) -> impl Iterator<Item = String> {
    node.descendants().filter_map(NameRef::cast).map(|name| name.text().to_string())
}

/// Whether the comments right above a statement turn a rule off.
fn is_ignored(above: &str, rule: &str) -> bool {
    let comments = above.trim_end().lines().rev().take_while(|line| line.trim_start().starts_with("--"));
    comments.filter_map(|comment| comment.split_once("squawk-ignore")).any(|(_, rules)| rules.contains(rule))
}

/// Whether a statement waits for those who use a table or an index.
fn takes_lock(statement: &Stmt) -> bool {
    let is_new = matches!(
        statement,
        Stmt::CreateFunction(_)
            | Stmt::DropFunction(_)
            | Stmt::CreateSequence(_)
            | Stmt::CreateType(_)
            | Stmt::CreateView(_)
            | Stmt::CommentOn(_)
    );
    possibly_slow_stmt(statement) && !is_new
}

fn sets_lock_timeout(statement: &Stmt) -> bool {
    let Stmt::Set(set) = statement else { return false };
    set.local_token().is_some() && set.path().and_then(|path| last_name(&path)).as_deref() == Some("lock_timeout")
}

/// Whether it makes sure of an index that was built before the migrations.
fn builds_large_index(statement: &Stmt, context: &Context) -> bool {
    let Stmt::CreateIndex(index) = statement else { return false };
    let name = index.name().map(|name| name.text().to_string());
    index.if_not_exists().is_some() && name.is_some_and(|name| context.large_indexes.contains(&name))
}

fn created_table(statement: &Stmt) -> Option<String> {
    let Stmt::CreateTable(create) = statement else { return None };
    last_name(&create.path()?)
}

/// Returns the existing table that a statement is about.
fn table(statement: &Stmt) -> Option<String> {
    let path = match statement {
        Stmt::AlterTable(alter) => alter.relation_name()?.path(),
        Stmt::CreateIndex(create) => create.relation_name()?.path(),
        Stmt::Update(update) => update.relation_name()?.path(),
        Stmt::Delete(delete) => delete.relation_name()?.path(),
        Stmt::CreateTrigger(create) => create.on_table()?.path(),
        Stmt::DropTrigger(drop) => drop.on_table()?.path(),
        _ => None,
    };
    last_name(&path?)
}

/// Returns the tables or columns that a statement drops.
fn dropped(statement: &Stmt) -> Vec<String> {
    match statement {
        Stmt::AlterTable(alter) => {
            let columns = alter.actions().filter_map(|action| match action {
                AlterTableAction::DropColumn(drop) => drop.name_ref(),
                _ => None,
            });
            columns.map(|column| column.text().to_string()).collect()
        }
        // Not the path of a schema within the path of a table.
        _ => {
            let paths = statement.syntax().descendants().filter_map(Path::cast);
            let whole = paths.filter(|path| path.syntax().parent().is_none_or(|parent| !Path::can_cast(parent.kind())));
            whole.filter_map(|path| last_name(&path)).collect()
        }
    }
}

/// Returns the name in a path without its schema.
fn last_name(path: &Path) -> Option<String> {
    let segment = path.segment()?;
    let reference = segment.name_ref().map(|name| name.text().to_string());
    reference.or_else(|| segment.name().map(|name| name.text().to_string()))
}

/// Returns where a statement begins, without the comments before it, and where it ends.
fn extent(node: &SyntaxNode) -> (usize, usize) {
    let first = node.children_with_tokens().find(|child| !child.kind().is_trivia());
    let start = first.map_or(node.text_range().start(), |child| child.text_range().start());
    (start.into(), node.text_range().end().into())
}
