//! An export of a long history, against an ordinary request.

use crate::server::{BenchServer, fresh_address, get};

const EVENTS: i32 = 150_000;

pub(crate) async fn measure(server: &BenchServer) {
    let account = server.account("user").await;
    let sql = server.sql().await;
    sql.execute(
        "INSERT INTO authy.event (event_id, happened, kind, actor, origin, subject, session_id, ip, user_agent, request_id, detail)
         SELECT gen_random_uuid(), now() - n * interval '1 second', 'session.refreshed', $1, 'user', $1, gen_random_uuid(),
                '192.0.2.1', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', md5(n::text),
                jsonb_build_object('generation', n)
         FROM generate_series(1, $2::int) n",
        &[account.id.as_uuid(), &EVENTS],
    )
    .await
    .unwrap();
    sql.batch_execute("ANALYZE authy.event").await.unwrap();
    let mut connection = server.connect().await;
    println!("\nan export of {EVENTS} events, against GET /authy/user:");
    for path in ["/authy/user", "/authy/user/export"] {
        // Once unmeasured: connections to the database, and what is made once.
        connection.ask(get("/authy/user", &account), &fresh_address(), "").await;
        server.forget_peak();
        let before = server.used();
        let answered = connection.ask(get(path, &account), &fresh_address(), "").await;
        let after = server.used();
        println!(
            "  {path:<20} {}: {:>7.1} ms, {:>7.1} ms CPU, answer {:>7.2} MB, peak memory +{:.1} MB ({:.1} to {:.1})",
            answered.status,
            answered.took.as_secs_f64() * 1e3,
            (after.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1e3,
            answered.length as f64 / 1e6,
            after.peak - before.resident,
            before.resident,
            after.peak,
        );
    }
}
