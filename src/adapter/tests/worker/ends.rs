//! How workers begin and end, and what they cannot pass off as an answer.

use super::*;

#[tokio::test]
async fn closing_ends_every_process_and_what_it_has_started() {
    let lingers = "children = subprocess.Popen(['sleep', '1000'])\nnote('children', children.pid)\n";
    for (end, grace) in [("", 20_000), ("time.sleep(1000)", 50)] {
        let scene = scene_of(&format!("{lingers}{ANSWERS}\n{end}"), 2, Duration::from_millis(grace));
        let asked = [scene.ask("one"), scene.ask("two")];
        for asked in asked {
            asked.answer().await.unwrap();
        }
        scene.close().await;
        let pids: Vec<String> = scene.lines("starts").into_iter().chain(scene.lines("children")).collect();
        assert!(pids.len() >= 2);
        until("all are gone", || pids.iter().all(|pid| is_gone(pid.parse().unwrap()))).await;
        assert_eq!(scene.told("again").await, r#"a="again""#, "who asks again starts it again");
        scene.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_closes_its_output_is_replaced() {
    let body = "os.close(1) if len(open('starts').readlines()) == 1 else None\n\
        for id, params in calls(): tell(id=id, result={'a': 1})";
    let scene = scene_of(body, 1, Duration::from_millis(200));
    let first = scene.told("order").await;
    assert!(first.contains("Unknown, again") || first.contains("a=1"), "{first}");
    assert_eq!(scene.told("order").await, "a=1");
    scene.close().await;
}

#[tokio::test]
async fn a_worker_sees_a_clean_environment() {
    let scene = scene("for id, params in calls(): tell(id=id, result={'a': sorted(os.environ)})");
    let told = scene.told("order").await;
    let own = ["LC_CTYPE", "__CF_USER_TEXT_ENCODING"];
    let Ok(Value::Array(names)) = serde_json::from_str(told.strip_prefix("a=").unwrap()) else {
        panic!("{told}")
    };
    let names: Vec<&str> =
        names.iter().filter_map(Value::as_str).filter(|name| !own.contains(name)).collect();
    assert_eq!(names, ["ORDERFLOW_PROCESS", "PATH"]);
    scene.close().await;
}

#[tokio::test]
async fn a_worker_that_cannot_start_says_why() {
    let program = Program {
        command: vec!["./nobody".to_owned()],
        folder: "/".into(),
        env: vec![("PATH".into(), "/".into())],
    };
    let folder = tempfile::tempdir().unwrap();
    let call = call(folder.path(), "a", json!({}));
    let answer = Worker::new(program, 1).call(call, Stop::new().1).await;
    assert_eq!(describe(&[], &answer), "Start: cannot start ./nobody: no such file in /; NotExecuted, final");
}

/// An answer counts only for who has read the call.
#[tokio::test]
async fn an_id_cannot_be_counted_up() {
    let body = "\
last = 0
for id, params in calls():
    assert id < 2 ** 53 and id not in (last, last + 1)
    tell(id=id, result=str(last))
    last = id";
    let scene = scene(body);
    let mut seen = std::collections::BTreeSet::new();
    for call in ["1", "2", "3"] {
        let answer = scene.ask(call).answer().await.unwrap();
        seen.insert(format!("{:?}", answer.outputs));
    }
    assert_eq!(seen.len(), 3);
}

/// The same where it does not read at all first.
#[tokio::test]
async fn an_answer_to_what_was_not_read_yet_does_not_count() {
    let early =
        "tell(id=1, result='early')\ntime.sleep(0.5)\nfor id, params in calls(): tell(id=id, result='late')";
    let scene = scene(early);
    let failure = scene.ask("1").answer().await.unwrap_err();
    assert_eq!(failure.outcome, crate::event::Outcome::Unknown);
    // Whatever it has read by the time at which its answer is heard: it cannot know the id.
    assert!(
        failure.message.ends_with("worker answered the call 1, which was never asked"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn little_is_kept_of_what_a_call_says_meanwhile() {
    let body = "\
for id, params in calls():
    for _ in range(3):
        tell(method='step/progress', params={'id': id, 'message': 'p' * 3000000})
        tell(method='step/log', params={'id': id, 'message': 'l' * 3000000})
    tell(id=id, error={'code': 1, 'message': 'no'})";
    let failure = scene(body).ask("1").answer().await.unwrap_err();
    assert!(failure.log.ends_with(&format!("progress: {}…\n", "p".repeat(1000))), "{}", failure.log.len());
    assert!(failure.log.len() < 20_000, "{}", failure.log.len());
}
