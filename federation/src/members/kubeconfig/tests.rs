use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

/// What must never be said.
const SECRET: &str = "S3CR3T-0123456789";

/// A kubeconfig with these fields of its cluster and its user besides the usual.
fn kubeconfig(cluster: &Value, user: &Value) -> Value {
    let mut own = json!({ "server": "https://edge1.example:6443" });
    merge(&mut own, cluster);
    json!({
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "c",
        "clusters": [{ "name": "k", "cluster": own }],
        "users": [{ "name": "u", "user": user }],
        "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u", "namespace": "n" } }],
    })
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

fn parsed(value: &Value) -> Checked<(Cluster, AuthInfo)> {
    let mut parsed = parse(value.to_string().as_bytes())?;
    let (mut cluster, mut user) = (parsed.clusters.remove(0), parsed.auth_infos.remove(0));
    Ok((
        cluster.cluster.take().unwrap(),
        user.auth_info.take().unwrap(),
    ))
}

fn problem(cluster: &Value, user: &Value) -> String {
    let problem = parsed(&kubeconfig(cluster, user)).unwrap_err().to_string();
    assert!(!problem.contains(SECRET), "{problem}");
    problem
}

#[test]
fn inline_data_counts() {
    let (cluster, user) = parsed(&kubeconfig(
        &json!({
            "certificate-authority-data": "QUJD\nREVG", "tls-server-name": "edge1.internal",
            "proxy-url": "socks5://proxy.example:1080", "insecure-skip-tls-verify": true,
            "disable-compression": true, "extensions": [{ "name": "minikube", "extension": {} }],
        }),
        &json!({
            "token": SECRET, "username": "u", "password": SECRET, "client-certificate-data": "QUJD",
            "client-key-data": "QUJD",
        }),
    ))
    .unwrap();
    assert_eq!(
        cluster.server.as_deref(),
        Some("https://edge1.example:6443")
    );
    assert_eq!(
        cluster.certificate_authority_data.as_deref(),
        Some("QUJDREVG")
    );
    assert_eq!(cluster.tls_server_name.as_deref(), Some("edge1.internal"));
    assert_eq!(
        cluster.proxy_url.as_deref(),
        Some("socks5://proxy.example:1080")
    );
    assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
    assert_eq!(user.username.as_deref(), Some("u"));
    assert!(user.token.is_some() && user.password.is_some() && user.client_key_data.is_some());
}

#[test]
fn fields_that_are_empty_are_absent() {
    let empty = json!({ "token": "t", "tokenFile": "", "exec": null, "client-certificate": "" });
    let (_, user) = parsed(&kubeconfig(
        &json!({ "certificate-authority": null }),
        &empty,
    ))
    .unwrap();
    assert!(user.token.is_some() && user.token_file.is_none() && user.exec.is_none());
}

#[rstest]
#[case::exec("exec", json!({ "command": SECRET }), "runs a program; write a token")]
#[case::provider("auth-provider", json!({ "name": SECRET }), "runs a program; write a token")]
#[case::token_file("tokenFile", json!(SECRET), "reads a file; write its content as token")]
#[case::certificate("client-certificate", json!(SECRET), "write its content as client-certificate-data")]
#[case::key("client-key", json!(SECRET), "write its content as client-key-data")]
#[case::as_user("as", json!(SECRET), "impersonates")]
#[case::as_uid("as-uid", json!(SECRET), "impersonates")]
#[case::as_groups("as-groups", json!([SECRET]), "impersonates")]
#[case::as_extra("as-user-extra", json!({ SECRET: [] }), "impersonates")]
#[case::unknown("tokenfile", json!(SECRET), "is not allowed here; allowed are token, username")]
#[case::number("token", json!(12345), "must be a string")]
#[case::two_lines("token", json!("two\nlines"), "in one line")]
#[case::long("token", json!("x".repeat(70_000)), "longer than 65536 bytes")]
#[case::no_base64("client-key-data", json!(SECRET), "must be base64")]
#[case::half("client-key-data", json!("QUJD"), "")]
#[case::password("password", json!(SECRET), "")]
#[case::colon("username", json!("a:b"), "must not have a colon")]
fn a_field_of_a_user_that_does_not_count_is_named(
    #[case] field: &str,
    #[case] value: Value,
    #[case] what: &str,
) {
    let said = problem(&json!({}), &Value::from_iter([(field, value)]));
    assert!(said.contains(what), "{said}");
    let missing = ["client-certificate-data", "username"];
    let names = said.starts_with(&format!("users[0].user.{field} "))
        || missing
            .iter()
            .any(|other| said == format!("users[0].user.{other} is missing beside its other half"));
    assert!(names, "{said}");
}

#[rstest]
#[case::authority("certificate-authority", json!(SECRET), "as certificate-authority-data")]
#[case::unknown("exec-server", json!(SECRET), "is not allowed here; allowed are server")]
#[case::no_base64("certificate-authority-data", json!("%"), "must be base64")]
#[case::no_flag("insecure-skip-tls-verify", json!("yes"), "must be true or false")]
#[case::no_name("tls-server-name", json!("a b"), "must be a DNS name")]
#[case::no_server("server", json!(null), "is missing")]
#[case::relative("server", json!("edge1:6443"), "must be a URL")]
#[case::file("server", json!("file:///etc/passwd"), "must be a URL")]
#[case::no_host("server", json!("https://"), "must be a URL")]
#[case::query("server", json!("https://a/?b"), "must be a URL")]
#[case::credentials("server", json!(format!("https://u:{SECRET}@a")), "must not hold credentials")]
#[case::proxy("proxy-url", json!("ftp://a"), "must be an http, https or socks5 URL")]
#[case::proxy_host("proxy-url", json!("socks5:///"), "must be an http, https or socks5 URL")]
fn a_field_of_a_cluster_that_does_not_count_is_named(
    #[case] field: &str,
    #[case] value: Value,
    #[case] what: &str,
) {
    let said = problem(&Value::from_iter([(field, value)]), &json!({}));
    let named = said.starts_with(&format!("clusters[0].cluster.{field} "));
    assert!(named && said.contains(what), "{said}");
}

#[rstest]
#[case::text("just text", "must be a mapping")]
#[case::broken("users: [{S3CR3T-0123456789", "is not valid YAML")]
#[case::twice("kind: a\nkind: S3CR3T-0123456789", "is not valid YAML")]
#[case::documents("kind: Config\n---\nusers: []", "is not valid YAML")]
#[case::no_context("contexts: []", "current-context is missing")]
#[case::other_context("current-context: S3CR3T-0123456789", "current-context names no entry")]
#[case::no_list("current-context: c\ncontexts: {}", "contexts must be a list")]
#[case::typo(
    "current-context: c\nuser: []",
    "user is not allowed here; allowed are apiVersion"
)]
#[case::lost("S3CR3T-0123456789: c", "a field is not allowed here")]
fn a_text_that_is_no_kubeconfig_is_not_quoted(#[case] text: &str, #[case] what: &str) {
    let said = parse(text.as_bytes()).unwrap_err().to_string();
    assert!(said.contains(what) && !said.contains(SECRET), "{said}");
}

#[test]
fn what_the_current_context_does_not_name_does_not_count() {
    let mut value = kubeconfig(&json!({}), &json!({ "token": "t" }));
    let other = json!({ "name": "other", "user": { "exec": { "command": "sh" } } });
    value["users"].as_array_mut().unwrap().insert(0, other);
    let (_, user) = parsed(&value).unwrap();
    assert!(user.exec.is_none() && user.token.is_some());
    value["contexts"][0]["context"]["user"] = json!("nobody");
    let said = parsed(&value).unwrap_err().to_string();
    assert_eq!(said, "contexts[0].context.user names no entry of users");
}

#[test]
fn a_kubeconfig_is_bounded() {
    let long = vec![b' '; LONGEST + 1];
    assert!(parse(&long).unwrap_err().to_string().contains("longer"));
    let mut value = kubeconfig(&json!({}), &json!({}));
    value["contexts"] = json!(vec![json!({ "name": "x" }); 1000]);
    let said = parsed(&value).unwrap_err().to_string();
    assert_eq!(said, "contexts has more than 256 entries");
    // Nine levels of nine aliases each would be 400 million nodes.
    let level = |level: usize| {
        let aliases = vec![format!("*a{}", level - 1); 9].join(",");
        format!("a{level}: &a{level} [{aliases}]\n")
    };
    let levels: Vec<_> = (1..10).map(level).collect();
    let bomb = format!("a0: &a0 [x]\n{}", levels.concat());
    let started = std::time::Instant::now();
    let said = parse(bomb.as_bytes()).unwrap_err().to_string();
    assert!(said.contains("or too large"), "{said}");
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(deep.as_bytes()).is_err());
}

#[rstest]
#[case::literal("https://169.254.169.254", Some("server"))]
#[case::decimal("http://2852039166/latest", Some("server"))]
#[case::hexadecimal("http://0xA9FEA9FE", Some("server"))]
#[case::octal("http://0251.0376.0251.0376", Some("server"))]
#[case::short("http://169.16689662", Some("server"))]
#[case::mapped("http://[::ffff:169.254.169.254]:80", Some("server"))]
#[case::name("http://metadata.google.internal./", Some("server"))]
#[case::any("https://0/", Some("server"))]
#[case::wide("http://１６９.254.169.254", Some("server"))]
#[case::loopback("https://127.0.0.1:6443", None)]
#[case::private("https://10.0.0.1:6443/k8s/clusters/c-1", None)]
fn addresses_are_judged_in_their_normal_form(
    #[case] url: &str,
    #[case] field: Option<&'static str>,
) {
    let of = |cluster: &Value| {
        let text = kubeconfig(cluster, &json!({})).to_string();
        link_local_field(&parse(text.as_bytes()).unwrap())
    };
    assert_eq!(of(&json!({ "server": url })), field);
    let proxy = field.map(|_| "proxy-url");
    assert_eq!(of(&json!({ "proxy-url": url })), proxy);
    // The host of other URLs is ASCII.
    let ascii = Some(url).filter(|url| url.is_ascii());
    let socks = ascii
        .unwrap_or("http://169.254.1.1")
        .replacen("http", "socks5", 1);
    let socks = socks.replace("socks5s:", "socks5:");
    assert_eq!(of(&json!({ "proxy-url": socks })), proxy);
}

#[test]
fn a_token_of_kubefed_may_end_with_a_newline() {
    let made = of_token("https://edge1:6443", None, true, "token\n").unwrap();
    let user = made.auth_infos[0].auth_info.as_ref().unwrap();
    assert_eq!(
        user.token
            .as_ref()
            .map(secrecy::ExposeSecret::expose_secret),
        Some("token")
    );
    let said = of_token("https://edge1:6443", None, true, "two\nlines").unwrap_err();
    assert!(said.to_string().starts_with("the token must be"), "{said}");
}

/// Any JSON, with the names that kubectl knows often where they act.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        Just(json!("https://edge1")),
        Just(json!("/etc/hostname")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_field(), inner, 0..5).prop_map(Value::from_iter),
        ]
    })
}

fn any_field() -> impl Strategy<Value = String> {
    let known = REFUSED_NAMES
        .iter()
        .chain(&CLUSTER_FIELDS)
        .chain(&USER_FIELDS);
    let known: Vec<String> = known.map(|name| (*name).to_owned()).collect();
    prop_oneof![
        4 => prop::sample::select(known),
        1 => "[a-zA-Z-]{1,12}",
        1 => Just("<<".to_owned()),
    ]
}

const REFUSED_NAMES: [&str; 10] = [
    "exec",
    "auth-provider",
    "tokenFile",
    "client-certificate",
    "client-key",
    "certificate-authority",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
];

fn any_mapping() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(any_field(), any_value(), 0..4).prop_map(Value::from_iter)
}

/// Nothing in it acts with the operator's rights.
fn is_inline(kubeconfig: &Kubeconfig) -> bool {
    let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
    let user = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
    let user_is = user.exec.is_none()
        && user.auth_provider.is_none()
        && user.token_file.is_none()
        && user.client_certificate.is_none()
        && user.client_key.is_none()
        && user.impersonate.is_none()
        && user.impersonate_uid.is_none()
        && user.impersonate_groups.is_none()
        && user.impersonate_user_extra.is_none()
        && user.other.is_empty();
    let cluster_is = cluster.certificate_authority.is_none()
        && cluster.extensions.is_none()
        && cluster.other.is_empty();
    user_is && cluster_is && kubeconfig.clusters.len() == 1 && kubeconfig.auth_infos.len() == 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_kubeconfig_acts(cluster in any_mapping(), user in any_mapping(), yaml in any::<bool>()) {
        let value = kubeconfig(&cluster, &user);
        let text = if yaml { serde_saphyr::to_string(&value).unwrap() } else { value.to_string() };
        if let Ok(kubeconfig) = parse(text.as_bytes()) {
            prop_assert!(is_inline(&kubeconfig));
        }
    }

    #[test]
    fn no_text_acts(text in "\\PC{0,200}", value in any_value()) {
        for text in [text, value.to_string()] {
            if let Ok(kubeconfig) = parse(text.as_bytes()) {
                prop_assert!(is_inline(&kubeconfig));
            }
        }
    }
}

/// The client makes a configuration of all that is taken.
#[tokio::test]
async fn what_is_taken_makes_a_configuration() {
    let value = kubeconfig(&json!({}), &json!({ "token": "t" }));
    let kubeconfig = parse(value.to_string().as_bytes()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
    assert_eq!(
        config.await.unwrap().cluster_url,
        "https://edge1.example:6443/"
    );
}
