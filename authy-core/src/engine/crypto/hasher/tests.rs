//! The queue: which jobs are refused, which are removed, and how the threads end.

use std::sync::mpsc;

use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn hasher(queue: usize, deadline: Duration) -> Arc<Hasher> {
    let config = HashConfig { threads: 1, queue, argon2: "m=8,t=1,p=1".parse().unwrap() };
    Arc::new(Hasher::start_with(&config, deadline).unwrap())
}

/// Keeps the only thread busy until the sender is dropped.
async fn block(hasher: &Arc<Hasher>) -> mpsc::Sender<()> {
    let (free, freed) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let hasher = Arc::clone(hasher);
    tokio::spawn(async move {
        let busy = move |_: &mut Workspace| {
            let _ = begun.send(());
            let _ = freed.recv();
        };
        hasher.run(HashRequester::default(), busy).await
    });
    has_begun.await.unwrap();
    free
}

async fn until_queued(hasher: &Hasher, jobs: usize) {
    let waiting = async {
        while hasher.queued() != jobs {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, waiting).await.unwrap();
}

fn enqueue(hasher: &Arc<Hasher>, ran: &mpsc::Sender<u8>, number: u8) -> tokio::task::JoinHandle<Result<()>> {
    let (hasher, ran) = (Arc::clone(hasher), ran.clone());
    tokio::spawn(async move { hasher.run(HashRequester::default(), move |_| ran.send(number).unwrap()).await })
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_with_a_time_to_wait() {
    let (hasher, (ran, _)) = (hasher(2, LONG), mpsc::channel());
    let _busy = block(&hasher).await;
    let _first = enqueue(&hasher, &ran, 1);
    let _second = enqueue(&hasher, &ran, 2);
    until_queued(&hasher, 2).await;
    let error = timeout(LONG, hasher.run(HashRequester::default(), |_| ())).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.retry_after() >= Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn many_jobs_of_one_network_leave_room_for_others_and_for_known_devices() {
    let hasher = hasher(16, LONG);
    let busy = block(&hasher).await;
    let requester = |address: &str, is_known| HashRequester::new(address.parse().ok(), is_known);
    let mut jobs = Vec::new();
    let mut refused = 0;
    // From all over a /48.
    for number in 0..40_u32 {
        let from = requester(&format!("2001:db8:1:{number:x}::1"), false);
        match hasher.require_room(from) {
            Ok(()) => {
                let queue = Arc::clone(&hasher);
                jobs.push(tokio::spawn(async move { queue.run(from, |_| ()).await }));
                until_queued(&hasher, jobs.len()).await;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Overloaded);
                refused += 1;
            }
        }
    }
    assert!(refused > 30, "{refused}");
    assert!(hasher.require_room(requester("2001:db8:2::1", false)).is_ok(), "another network");
    assert!(hasher.require_room(requester("192.0.2.1", false)).is_ok(), "the other family");
    assert!(hasher.require_room(requester("2001:db8:1::1", true)).is_ok(), "a known device of the same network");
    drop(busy);
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    assert!(hasher.require_room(requester("2001:db8:1::1", false)).is_ok(), "the places are given back");
}

#[tokio::test]
async fn a_caller_that_left_frees_its_queue_place_and_its_job_never_runs() {
    let (hasher, (ran, order)) = (hasher(2, LONG), mpsc::channel());
    let busy = block(&hasher).await;
    let leaver = enqueue(&hasher, &ran, 1);
    until_queued(&hasher, 1).await;
    let second = enqueue(&hasher, &ran, 2);
    until_queued(&hasher, 2).await;
    leaver.abort();
    until_queued(&hasher, 1).await;
    let third = enqueue(&hasher, &ran, 3);
    until_queued(&hasher, 2).await;
    drop(busy);
    second.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
    drop(ran);
    assert_eq!(order.iter().collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn a_job_that_waited_too_long_is_refused_without_running() {
    // With a deadline of zero, every job has waited too long.
    let (hasher, (ran, order)) = (hasher(2, Duration::ZERO), mpsc::channel());
    let error = enqueue(&hasher, &ran, 1).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.retry_after().is_some());
    drop(ran);
    assert_eq!(order.iter().count(), 0);
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_thread_lives_on() {
    let hasher = hasher(1, LONG);
    let error = hasher.run(HashRequester::default(), |_| -> () { panic!("on purpose") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(hasher.run(HashRequester::default(), |_| 7).await.unwrap(), 7);
}

#[tokio::test]
async fn the_threads_end_with_the_hasher() {
    let hasher = hasher(1, LONG);
    hasher.run(HashRequester::default(), |_| ()).await.unwrap();
    let shared = Arc::downgrade(&hasher.shared);
    drop(hasher);
    let ended = async {
        while shared.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, ended).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_threads_have_the_lowest_priority_and_the_caller_keeps_its_own() {
    let own = rustix::process::getpriority_process(None).unwrap();
    let theirs = hasher(1, LONG)
        .run(HashRequester::default(), |_| rustix::process::getpriority_process(None).unwrap())
        .await
        .unwrap();
    assert_eq!(theirs, NICENESS);
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
}
