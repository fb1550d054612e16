//! `[after:: Group]`: waits for all steps of a group, and no longer.

use crate::place::Place;

const FLOW: &str = "\
# Release

## Checks (parallel)

### Lint ?

```sh run
sleep 0.1
echo lint >> log
exit 65
```

### Audit [when:: deep]
deep::Boolean → audited

```sh run
echo audit >> log
```

### Deep

#### Build

```sh run
sleep 0.2
echo build >> log
```

#### Test

```sh run
echo test >> log
```

## Publishing [after:: Checks]

### Publish

```sh run
echo publish >> log
```

## Tell [after:: Checks/Deep] [after:: start]

```sh run
echo tell >> told
```
";

#[test]
fn a_step_and_a_group_wait_for_all_steps_of_another_group() {
    let place = Place::new(FLOW);
    assert_eq!(place.run("--input deep=false --quiet --jobs 4").exit, Some(0));
    assert_eq!(place.read("log"), "lint\nbuild\ntest\npublish\n");
    let graph = place.orderflow("graph flow.md --format json");
    let graph: serde_json::Value = serde_json::from_str(&graph.out).unwrap();
    let mut edges: Vec<String> = graph["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| format!("{} {}", edge["from"].as_str().unwrap(), edge["to"].as_str().unwrap()))
        .collect();
    edges.sort();
    assert_eq!(
        edges,
        [
            "Audit Publish",
            "Build Publish",
            "Build Tell",
            "Build Test",
            "Lint Publish",
            "Test Publish",
            "Test Tell",
        ]
    );
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(0));
}

/// As many orders as a document may have, and no more memory than for those.
#[test]
fn groups_that_wait_for_groups_have_a_limit() {
    let steps = |name: &str| -> String { (0..1100).map(|n| format!("### {name} {n} @x\n\n")).collect() };
    let text =
        format!("# T\n\n## A (parallel)\n\n{}## B (parallel) [after:: A]\n\n{}", steps("a"), steps("b"));
    let place = Place::new(&text);
    let told = place.orderflow("validate flow.md");
    assert_eq!(told.exit, Some(3));
    assert!(
        told.out.contains("error[too-many-orders]") || told.err.contains("error[too-many-orders]"),
        "{told:?}"
    );
    let every: String = (0..4000).map(|n| format!("## c {n} @x [after:: A]\n\n")).collect();
    let place = Place::new(&format!("# T\n\n## A (parallel)\n\n{}{every}", steps("a")));
    let told = place.orderflow("validate flow.md");
    assert_eq!(told.exit, Some(3));
    assert!(
        told.out.contains("error[too-many-orders]") || told.err.contains("error[too-many-orders]"),
        "{told:?}"
    );
}
