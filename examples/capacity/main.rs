//! Plans servers, cores, connections, commits and storage for a number of users, by the figures that the benchmarks have measured.
//!
//! ```sh
//! cargo run --example capacity -- --users 10000000 --logins-a-day 3000000
//! ```
//!
//! A model, and no measurement of your machines. `--help` lists what it can be told, docs/scaling.md says what to do then.

mod figures;
mod plan;

use clap::{Arg, ArgMatches, Command, value_parser};
use plan::{Demand, SHARE, plan, steps};

fn main() {
    let matches = command().get_matches();
    let number = |name: &str| matches.get_one::<f64>(name).copied();
    let users = number("users").unwrap_or_default();
    let demand = Demand {
        users,
        logins_a_day: number("logins-a-day").unwrap_or(users * 0.3),
        sign_ups_a_day: number("sign-ups-a-day").unwrap_or(users / 1e3),
        ..demand(&matches)
    };
    let plan = plan(&demand);
    println!("{} users, {} logins and {} sign-ups a day", demand.users, demand.logins_a_day, demand.sign_ups_a_day);
    println!(
        "the busiest second: {:.0} logins, {:.0} refreshes, {:.1} sign-ups",
        plan.logins, plan.refreshes, plan.sign_ups
    );
    println!(
        "\nservers       {} of {} cores ({:.1} cores, {:.0} % busy)",
        plan.servers,
        demand.cores,
        plan.server_cores,
        SHARE * 100.0
    );
    println!("verifiers     {:.0} streams at each server", plan.streams.ceil());
    println!("primary       {:.1} cores ({:.0} % busy)", plan.database_cores, SHARE * 100.0);
    println!("              {:.0} commits a second, which is the most writes that the disk has to flush", plan.commits);
    println!(
        "              {:.2} MB of WAL a second, {:.1} GB a day",
        plan.wal_bytes / 1e6,
        plan.wal_bytes_a_day / 1e9
    );
    println!("connections   {:.0}, {:.1} GB of memory", plan.connections, plan.connection_bytes / 1e9);
    println!("storage       {:.1} GB of users and sessions", plan.stored_bytes / 1e9);
    println!("              {:.1} GB of audit trail", plan.event_bytes / 1e9);
    println!("\ndue:");
    for step in steps(&demand, &plan) {
        println!("- {step}");
    }
}

fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).value_name("NUMBER").value_parser(value_parser!(f64)).help(help);
        if default.is_empty() { arg } else { arg.default_value(default) }
    };
    Command::new("capacity")
        .about("Plans servers, cores, connections, commits and storage for a number of users")
        .arg(number("users", "1000000", "Users"))
        .arg(number("logins-a-day", "", "Logins a day [default: 0.3 for each user]"))
        .arg(number("sign-ups-a-day", "", "Sign-ups a day [default: one for a thousand users]"))
        .arg(number("hours-of-use", "2", "Hours of use after a login, in which tokens are refreshed"))
        .arg(number("refresh-minutes", "15", "AUTHY_ACCESS_TTL in minutes"))
        .arg(number("session-days", "14", "AUTHY_REFRESH_IDLE in days"))
        .arg(number("event-months", "12", "AUTHY_EVENT_RETENTION"))
        .arg(number("checks-a-second", "0", "Token checks that services ask a server for, on average"))
        .arg(number("verifiers", "12", "Processes of services that verify tokens themselves"))
        .arg(number("peak", "4", "The busiest second, as a multiple of the average one"))
        .arg(number("hash-ms", "25", "CPU milliseconds of a hash; `cargo bench --bench load` measures it"))
        .arg(number("cores", "4", "Cores of a server"))
        .arg(number("sinks", "2", "Sinks: mails, the webhook, RabbitMQ"))
}

/// The demand, but for the numbers that follow from others.
fn demand(matches: &ArgMatches) -> Demand {
    let number = |name: &str| matches.get_one::<f64>(name).copied().unwrap_or_default();
    Demand {
        users: 0.0,
        logins_a_day: 0.0,
        sign_ups_a_day: 0.0,
        hours_of_use: number("hours-of-use"),
        refresh_minutes: number("refresh-minutes"),
        session_days: number("session-days"),
        event_months: number("event-months"),
        checks_a_second: number("checks-a-second"),
        verifiers: number("verifiers"),
        peak: number("peak"),
        hash_ms: number("hash-ms"),
        cores: number("cores"),
        sinks: number("sinks"),
    }
}
