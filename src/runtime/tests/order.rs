//! When steps start, are stopped and end: deadlines, limits, signals, and what does not hold up the run.

use super::*;

#[tokio::test(start_paused = true)]
async fn steps_run_side_by_side_and_in_order() {
    let document = "# T\n## A @x\no -> a\n## B @x\na -> b\n## C @x\na -> c\n## D @x\nb, c -> d\n";
    let (lines, run) = told(scene(document, 1), |step, _, _| match step {
        "B" => Does::Ok(30),
        _ => Does::Ok(10),
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
10 i0 A#1 ok
i0 A success
10 i0 B#1 starts
10 i0 C#1 starts
20 i0 C#1 ok
i0 C success
40 i0 B#1 ok
i0 B success
40 i0 D#1 starts
50 i0 D#1 ok
i0 D success
50 i0 succeeded
";
    assert_eq!(lines, expected);
    assert_eq!(run.tally().succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_stopped_and_made_again() {
    let document = "# T\n## A @x [timeout:: 5s] [retry:: 2 fixed 1s]\no -> a\n";
    let (lines, _) = told(scene(document, 1), |_, _, attempt| match attempt {
        1 => Does::Ok(60_000),
        2 => Does::Fails(100),
        _ => Does::Finishes(700),
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
5000 i0 A#1 is stopped: timed out
5000 i0 A#1 left
5000 i0 A#2 is due at 6000
6000 i0 A#2 is due
6000 i0 A#2 starts
6100 i0 A#2 no
6100 i0 A#3 is due at 7100
7100 i0 A#3 is due
7100 i0 A#3 starts
12100 i0 A#3 is stopped: timed out
12800 i0 A#3 ok
i0 A success
12800 i0 succeeded
";
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn a_step_has_one_deadline_for_all_its_attempts() {
    let document = "# T\n## A @x [deadline:: 10s] [retry:: 9 fixed 1s]\no -> a\n";
    let (lines, _) = told(scene(document, 1), |_, _, attempt| match attempt {
        1 => Does::Fails(4000),
        _ => Does::Ok(60_000),
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
4000 i0 A#1 no
4000 i0 A#2 is due at 5000
5000 i0 A#2 is due
5000 i0 A#2 starts
10000 i0 A#2 is stopped: the step's deadline passed
10000 i0 A#2 left
i0 A timeout (the step's deadline passed after 10s)
10000 i0 failed
";
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn an_item_has_a_deadline_of_its_own() {
    let document = "---\ndeadline: 5s\n---\n# T\n## A @x\no -> a\n## B @x\na -> b\n";
    let mut scene = scene(document, 2);
    scene.policy.limits.jobs = 1;
    let (lines, _) = told(scene, |_, _, _| Does::Ok(3000)).await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
3000 i0 A#1 ok
i0 A success
3000 i0 B#1 starts
5000 i0 is overdue
5000 i0 B#1 is stopped: the item's deadline passed
5000 i0 B#1 left
i0 B cancelled (the item's deadline passed after 5s)
5000 i0 failed
5000 i1 admitted
5000 i1 A#1 starts
8000 i1 A#1 ok
i1 A success
8000 i1 B#1 starts
10000 i1 is overdue
10000 i1 B#1 is stopped: the item's deadline passed
10000 i1 B#1 left
i1 B cancelled (the item's deadline passed after 5s)
10000 i1 failed
";
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn the_run_has_a_deadline() {
    let mut scene = scene("# T\n## A @x\no -> a\n", 3);
    scene.policy.limits.jobs = 1;
    scene.deadline = Some(Duration::from_secs(4));
    let (lines, run) = told(scene, |_, _, _| Does::Ok(3000)).await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
3000 i0 A#1 ok
i0 A success
3000 i0 succeeded
3000 i1 admitted
3000 i1 A#1 starts
4000 stopped: RunDeadline
4000 i1 A#1 is stopped: cancelled: the run's deadline passed
4000 drained: Stopped
4000 i1 A#1 left
i1 A cancelled (cancelled: the run's deadline passed)
4000 i1 cancelled
";
    assert_eq!(lines, expected);
    assert_eq!((run.tally().succeeded, run.tally().cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_item_stops_or_drains_the_run_where_that_is_asked() {
    let play = async |on_item_error, tolerate| {
        let mut scene = scene("# T\n## A @x\no -> a\n", 10);
        scene.policy = Policy { limits: Limits::jobs(2), on_item_error, tolerate };
        told(scene, |_, item, _| match item {
            "i0" | "i2" => Does::Fails(1000),
            _ => Does::Ok(5000),
        })
        .await
    };
    let (lines, run) = play(OnItemError::Stop, Tolerance::Count(0)).await;
    assert!(
        lines.contains("1000 stopped: ItemError\n1000 i1 A#1 is stopped: cancelled: another item failed\n"),
        "{lines}"
    );
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().cancelled), (2, 1, 1));

    let (lines, run) = play(OnItemError::Drain, Tolerance::Count(0)).await;
    assert!(lines.contains("1000 drained: ItemError\n5000 i1 A#1 ok\n"), "{lines}");
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().succeeded), (2, 1, 1));

    let (lines, run) = play(OnItemError::Continue, Tolerance::Count(1)).await;
    assert!(lines.contains("2000 i2 failed\n2000 drained: Tolerance\n"), "{lines}");
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().succeeded), (3, 2, 1));

    let (_, run) = play(OnItemError::Continue, Tolerance::Count(0)).await;
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().succeeded), (10, 2, 8));
}

/// When steps started and how many ran at most.
fn starts(lines: &str) -> (Vec<u64>, usize) {
    let (mut starts, mut running, mut most) = (Vec::new(), 0usize, 0);
    for line in lines.lines() {
        if line.ends_with(" starts") {
            starts.push(line.split(' ').next().unwrap().parse().unwrap());
            running += 1;
            most = most.max(running);
        } else if line.ends_with(" ok") {
            running -= 1;
        }
    }
    (starts, most)
}

#[tokio::test(start_paused = true)]
async fn channels_and_agents_hold_their_limits() {
    let document = "# T\n## A @x #slow\no -> a\n";
    let play = async |limits: fn(&mut Limits)| {
        let mut scene = scene(document, 5);
        limits(&mut scene.policy.limits);
        starts(&told(scene, |_, _, _| Does::Ok(900)).await.0)
    };
    let rate = |limits: &mut Limits| {
        let limit = ChannelLimit { rate: Some(2.0), concurrency: None };
        limits.channels.insert("slow".to_owned(), limit);
    };
    assert_eq!(play(rate).await, (vec![0, 500, 1000, 1500, 2000], 2));
    let channel = |limits: &mut Limits| {
        let limit = ChannelLimit { rate: None, concurrency: Some(3) };
        limits.channels.insert("slow".to_owned(), limit);
    };
    assert_eq!(play(channel).await, (vec![0, 0, 0, 900, 900], 3));
    let agent = |limits: &mut Limits| limits.agents = [("x".to_owned(), 2)].into();
    assert_eq!(play(agent).await, (vec![0, 0, 900, 900, 1800], 2));
    assert_eq!(play(|limits| limits.jobs = 1).await, (vec![0, 900, 1800, 2700, 3600], 1));
    assert_eq!(play(|_| {}).await, (vec![0; 5], 5));
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_steps_end_and_a_kill_does_not() {
    let document = "# T\n## A @x\no -> a\n## B @x [after:: start]\no -> b\n## C @x\na -> c\n";
    let mut scene = scene(document, 1);
    scene.requests = vec![(1000, Request::Stop), (2000, Request::Kill)];
    let (lines, run) = told(scene, |step, _, _| match step {
        "A" => Does::Finishes(300),
        _ => Does::Ignores,
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
0 i0 B#1 starts
1000 stopped: Interrupted
1000 i0 A#1 is stopped: cancelled: the run was interrupted
1000 i0 B#1 is stopped: cancelled: the run was interrupted
1000 drained: Stopped
1300 i0 A#1 ok
i0 A success
3000 i0 B#1 killed
i0 B cancelled (cancelled: the run was interrupted)
3000 i0 cancelled
";
    assert_eq!(lines, expected);
    assert_eq!(run.tally().cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_panics_has_failed() {
    let document = "# T\n## A @x [retry:: 3]\no -> a\n## B @x [after:: start]\no -> b\n";
    let (lines, run) = told(scene(document, 2), |step, item, _| match (step, item) {
        ("A", "i0") => Does::Panics,
        _ => Does::Ok(10),
    })
    .await;
    assert!(lines.contains("i0 A failed (the adapter broke; this is a bug of orderflow)\n"), "{lines}");
    assert_eq!((run.tally().failed, run.tally().succeeded), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_fails_stops_the_run_in_order() {
    let document = "# T\n## A @x\no -> a\n## B @x\na -> b\n";
    let (whole, _) = scene(document, 1).play(agent(|_, _, _| Does::Ok(10))).await;
    for number in 1..=whole.lines().count() {
        let mut scene = scene(document, 1);
        scene.trouble = Some(number);
        let (lines, ended) = scene.play(agent(|_, _, _| Does::Ok(10))).await;
        assert_eq!(ended.unwrap_err().to_string(), "the disk is full", "event {number}");
        let seen: Vec<&str> = lines.lines().take(number).collect();
        assert_eq!(seen, whole.lines().take(number).collect::<Vec<_>>());
        let count = |what: &str| lines.matches(what).count();
        assert_eq!(
            count("admitted"),
            count("cancelled\n") - count("B cancelled\n") + count("succeeded"),
            "{lines}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_idempotency_key_is_that_of_the_effect() {
    let document = "# T\n## A @x [retry:: 2 fixed 1s]\no -> a\n## B @x [after:: start]\no -> b\n";
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let keys = seen.clone();
    let agent = fake(move |call: Call, stop| {
        let context = &call.context;
        let effect = format!("{} {}", context.item, context.step);
        keys.lock().unwrap().push((effect, context.idempotency_key.clone()));
        let does = if &*context.step == "A" { Does::Fails(10) } else { Does::Ok(10) };
        act(does, call, stop)
    });
    scene(document, 2).play(agent).await.1.unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let attempts: Vec<&str> = seen.iter().map(|(effect, _)| effect.as_str()).collect();
    assert_eq!(attempts, ["i0 A", "i0 A", "i0 A", "i0 B", "i1 A", "i1 A", "i1 A", "i1 B"]);
    seen.dedup();
    assert_eq!(seen.len(), 4, "one key for all attempts at an effect: {seen:?}");
    let keys: std::collections::BTreeSet<_> = seen.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 4, "another key for another effect: {seen:?}");
}
