//! The Helm chart, rendered by Go's template language with those of Helm's functions that the chart uses: what comes out is YAML, names what exists,
//! and holds a config that the agent takes. Where `helm` itself is installed, it renders the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gotmpl::{FuncMap, Template, Value};
use serde_json::{Value as Json, json};

use crate::harness;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helm/jurymast")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(chart().join(file)).unwrap()
}

fn yaml(text: &str) -> Json {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => number
            .as_i64()
            .map_or(Value::Float(number.as_f64().unwrap()), Value::Int),
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Array(list) => Value::List(list.iter().map(value).collect()),
        Json::Object(map) => Value::Map(Arc::new(
            map.iter()
                .map(|(name, it)| (Arc::from(name.as_str()), value(it)))
                .collect(),
        )),
    }
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Bool(yes) => json!(yes),
        Value::Int(number) => json!(number),
        Value::Uint(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::String(text) => json!(text.as_ref()),
        Value::List(list) => list.iter().map(json_of).collect(),
        Value::Map(map) => Json::Object(map.iter().map(|(name, it)| (name.to_string(), json_of(it))).collect()),
        _ => Json::Null,
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.to_string(),
        Some(other) => json_of(other).to_string(),
        None => String::new(),
    }
}

fn said(text: impl Into<String>) -> Value {
    Value::String(text.into().into())
}

/// Helm's own functions, as far as the chart uses them.
fn functions(all: &Arc<str>) -> FuncMap {
    let mut map = FuncMap::new();
    let again = Arc::clone(all);
    map.insert(
        "include".into(),
        Arc::new(move |arguments| Ok(said(render(&again, &text(arguments.first()), &arguments[1])))),
    );
    map.insert(
        "quote".into(),
        Arc::new(|a| Ok(said(json!(text(a.first())).to_string()))),
    );
    map.insert("toJson".into(), Arc::new(|a| Ok(said(json_of(&a[0]).to_string()))));
    map.insert(
        "nindent".into(),
        Arc::new(|a| {
            let by = " ".repeat(usize::try_from(a[0].as_int().unwrap()).unwrap());
            let lines = text(a.get(1));
            let moved: String = lines.lines().map(|line| format!("\n{by}{line}")).collect();
            Ok(said(moved))
        }),
    );
    map.insert(
        "trunc".into(),
        Arc::new(|a| {
            let most = usize::try_from(a[0].as_int().unwrap()).unwrap();
            Ok(said(text(a.get(1)).chars().take(most).collect::<String>()))
        }),
    );
    map.insert(
        "default".into(),
        Arc::new(|a| {
            Ok(if a.get(1).is_some_and(Value::is_truthy) {
                a[1].clone()
            } else {
                a[0].clone()
            })
        }),
    );
    map
}

fn render(all: &Arc<str>, name: &str, data: &Value) -> String {
    let template = Template::new("all").funcs(functions(all)).parse(all).unwrap();
    template
        .execute_template_to_string(name, data)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every document of the chart with these values in place of its own, by kind and name.
fn rendered(values: &Json) -> BTreeMap<(String, String), Json> {
    let mut own = yaml(&read("values.yaml"));
    for (name, it) in values.as_object().unwrap() {
        assert!(own.get(name).is_some(), "values.yaml has no {name}");
        own[name] = it.clone();
    }
    let about = yaml(&read("Chart.yaml"));
    let data = json!({"Values": own, "Release": {"Name": "plant", "Namespace": "iot", "Service": "Helm"},
        "Chart": {"AppVersion": about["appVersion"], "Name": about["name"]}});
    let mut all = read("templates/_helpers.tpl");
    let files = ["config.yaml", "rights.yaml", "single.yaml", "NOTES.txt"];
    for file in files {
        all += &format!(
            "{{{{ define \"{file}\" }}}}{}{{{{ end }}}}",
            read(&format!("templates/{file}"))
        );
    }
    // A pod of somebody else's, with the sidecar in it.
    all += "{{ define \"app\" }}kind: Pod\nmetadata: {name: app}\nspec:\n  containers:\n    - {name: app, image: app}\n    {{- include \"jurymast.container\" . | nindent 4 }}\n  volumes:\n    {{- include \"jurymast.volumes\" . | nindent 4 }}\n{{ end }}";
    let all: Arc<str> = all.into();
    let mut found = BTreeMap::new();
    for file in ["config.yaml", "rights.yaml", "single.yaml", "app"] {
        for text in render(&all, file, &value(&data)).split("\n---\n") {
            let document = yaml(text);
            if document.is_null() {
                continue;
            }
            let word = |at: &str| {
                document
                    .pointer(at)
                    .and_then(Json::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let key = (word("/kind"), word("/metadata/name"));
            assert!(!key.0.is_empty() && !key.1.is_empty(), "{file}: {text}");
            assert!(found.insert(key, document).is_none(), "{file}: twice: {text}");
        }
    }
    assert!(
        render(&all, "NOTES.txt", &value(&data)).contains(if data["Values"]["mode"] == "single" {
            "port-forward"
        } else {
            "Put the container"
        })
    );
    found
}

fn of<'a>(documents: &'a BTreeMap<(String, String), Json>, kind: &str) -> &'a Json {
    let mut found = documents.iter().filter(|((it, _), _)| it == kind);
    found.next().unwrap_or_else(|| panic!("no {kind}")).1
}

fn kinds(documents: &BTreeMap<(String, String), Json>) -> Vec<&str> {
    documents.keys().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn alone_it_is_one_pod_with_a_volume_and_a_config_that_the_agent_takes() {
    let documents = rendered(&json!({}));
    assert_eq!(
        kinds(&documents),
        [
            "ConfigMap",
            "Pod",
            "Role",
            "RoleBinding",
            "Service",
            "ServiceAccount",
            "StatefulSet"
        ]
    );
    let set = of(&documents, "StatefulSet");
    assert_eq!(set["spec"]["replicas"], 1);
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "jurymast:0.1.0");
    assert_eq!(container["args"], json!(["run", "-c", "/etc/jurymast/jurymast.yml"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    // Each mount has its volume, and each volume is of something that the chart brings or that the user was told to bring.
    let claimed = set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"].clone();
    let mut volumes: Vec<&Json> = pod["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| &volume["name"])
        .collect();
    volumes.push(&claimed);
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(volumes.contains(&&mount["name"]), "{mount}");
    }
    assert_eq!(
        pod["volumes"][0]["configMap"]["name"],
        of(&documents, "ConfigMap")["metadata"]["name"]
    );
    assert_eq!(
        pod["serviceAccountName"],
        of(&documents, "ServiceAccount")["metadata"]["name"]
    );
    let selector = &set["spec"]["selector"]["matchLabels"];
    for (name, it) in selector.as_object().unwrap() {
        assert_eq!(&set["spec"]["template"]["metadata"]["labels"][name], it);
        assert_eq!(&of(&documents, "Service")["spec"]["selector"][name], it);
    }
    assert_eq!(
        of(&documents, "Service")["spec"]["ports"][0]["targetPort"],
        container["ports"][0]["name"]
    );

    let dir = tempfile::tempdir().unwrap();
    let (token, file) = (dir.path().join("token"), dir.path().join("jurymast.yml"));
    std::fs::write(&token, "a token that is long enough\n").unwrap();
    let config = of(&documents, "ConfigMap")["data"]["jurymast.yml"].as_str().unwrap();
    std::fs::write(
        &file,
        config.replace("/run/secrets/jurymast/token", &token.display().to_string()),
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["check", "config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn as_a_sidecar_it_brings_no_pod_of_its_own() {
    let documents = rendered(
        &json!({"mode": "sidecar", "observeOnly": true, "image": {"repository": "registry/jurymast", "tag": "7", "pullPolicy": "Always"}}),
    );
    assert_eq!(
        kinds(&documents),
        ["ConfigMap", "Pod", "Role", "RoleBinding", "ServiceAccount"]
    );
    let pod = of(&documents, "Pod");
    let (app, sidecar) = (&pod["spec"]["containers"][0], &pod["spec"]["containers"][1]);
    assert_eq!((&app["name"], &sidecar["name"]), (&json!("app"), &json!("jurymast")));
    assert_eq!(sidecar["image"], "registry/jurymast:7");
    assert_eq!(sidecar["args"][3], "--observe-only");
    assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 3);
}

#[test]
fn every_switch_of_the_values_does_something() {
    let without = rendered(&json!({"rbac": {"create": false, "cordon": false}}));
    assert!(!kinds(&without).contains(&"Role"));
    let cordon = rendered(&json!({"rbac": {"create": true, "cordon": true}}));
    assert!(kinds(&cordon).contains(&"ClusterRoleBinding"));
    let closed = rendered(&json!({"networkPolicy": {"enabled": true, "from": [{"podSelector": {}}]}}));
    assert_eq!(
        of(&closed, "NetworkPolicy")["spec"]["ingress"][0]["from"][0],
        json!({"podSelector": {}})
    );
    let stored =
        rendered(&json!({"persistence": {"size": "5Gi", "storageClass": "fast", "accessMode": "ReadWriteOnce"}}));
    let claim = &of(&stored, "StatefulSet")["spec"]["volumeClaimTemplates"][0]["spec"];
    assert_eq!(
        (&claim["storageClassName"], &claim["accessModes"][0]),
        (&json!("fast"), &json!("ReadWriteOnce"))
    );
    assert_eq!(claim["resources"]["requests"]["storage"], "5Gi");
    // Nothing that the values name is left unused.
    let all = ["_helpers.tpl", "config.yaml", "rights.yaml", "single.yaml", "NOTES.txt"]
        .map(|file| read(&format!("templates/{file}")))
        .concat();
    for name in yaml(&read("values.yaml")).as_object().unwrap().keys() {
        assert!(
            all.contains(&format!(".Values.{name}")),
            "values.yaml: {name} does nothing"
        );
    }
}

#[test]
fn helm_itself_takes_it() {
    if harness::skipped("the chart by helm", &["helm"]) {
        return;
    }
    for arguments in [vec!["lint"], vec!["template", "plant"]] {
        let output = Command::new(harness::find("helm").unwrap())
            .args(arguments)
            .arg(chart())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
