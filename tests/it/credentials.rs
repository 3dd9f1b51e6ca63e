//! Credentials: where they are found, who gets to see them, and what is remembered without them.

use crate::cases;
use crate::login::{BASIC, PASSWORD, WITH_IDENTITY, app, closed, config, entry, holding, login, read};
use crate::procs::cmdlines;
use crate::registry::{Door, Fault, Registry, base64};
use crate::sandbox::Sandbox;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

cases! {
    Every:
        credentials_are_found_where_docker_and_podman_keep_them,
        a_damaged_file_is_named,
        helpers_keep_secrets,
        a_helper_that_fails_is_named,
        credentials_for_one_registry_never_reach_another,
        no_secret_is_ever_in_a_command_line,
        tokens_that_run_out_are_got_anew,
        what_is_known_of_a_registry_saves_round_trips;
}

fn credentials_are_found_where_docker_and_podman_keep_them(t: &Sandbox) {
    let (registry, name) = closed(t, BASIC);
    let host = registry.host.as_str();
    let wrong = Door { password: "wrong", ..BASIC };
    let pull = || t.ccrun(&["pull", &name]).env("XDG_RUNTIME_DIR", t.path("run"));
    let remove = |path: &str| std::fs::remove_file(t.path(path)).expect("remove");
    // From the last place to the first: each one hides those that were there before it.
    for place in
        ["home/.dockercfg", "home/.docker/config.json", "home/.config/containers/auth.json", "run/containers/auth.json"]
    {
        let content = |door| {
            let text = entry(host, door);
            // Docker's oldest file is its entries alone.
            if place.ends_with("cfg") { text[9..text.len() - 1].to_owned() } else { text }
        };
        t.file(place, content(&BASIC));
        pull().ok();
        t.file(place, content(&wrong));
        pull().out().error(1, "incorrect username or password");
    }
    // The file that is named is the only one.
    let named = t.file("named.json", entry(host, &BASIC));
    pull().env("REGISTRY_AUTH_FILE", &named).ok();
    pull().env("REGISTRY_AUTH_FILE", t.path("none.json")).out().error(1, "no basic auth credentials");
    remove("run/containers/auth.json");
    remove("home/.config/containers/auth.json");
    // Docker's directory may be another; keys may be URLs, or name a part of the registry.
    t.file("docker/config.json", entry(&format!("http://{host}/v1/"), &BASIC));
    pull().env("DOCKER_CONFIG", t.path("docker")).ok();
    t.file("docker/config.json", entry(&format!("{host}/some"), &BASIC));
    pull().env("DOCKER_CONFIG", t.path("docker")).ok();
    t.file("docker/config.json", entry(&format!("{host}/som"), &BASIC));
    pull().env("DOCKER_CONFIG", t.path("docker")).out().exit(1);
    // A login goes where the registry has its entry already, for it would be hidden by that.
    t.file("run/containers/auth.json", entry(host, &wrong));
    login(t, host, PASSWORD).env("XDG_RUNTIME_DIR", t.path("run")).ok().says("run/containers/auth.json");
    pull().ok();
    // And a logout is one from all of them.
    t.ccrun(&["logout", host]).env("XDG_RUNTIME_DIR", t.path("run")).ok().has("Removing login credentials for ");
    pull().out().error(1, "no basic auth credentials");
}

fn a_damaged_file_is_named(t: &Sandbox) {
    let (registry, name) = closed(t, BASIC);
    let secret = "pa55".repeat(10);
    for content in [format!("{{{secret}"), format!(r#"{{"auths":{{"{}":{{"auth":"{secret}!"}}}}}}"#, registry.host)] {
        let path = t.file("home/.docker/config.json", &content);
        let out = t.ccrun(&["pull", &name]).out().error(1, &format!("the credentials in {path} are damaged"));
        assert!(!out.stderr.contains("pa55"), "{}", out.stderr);
        if content.starts_with("{s") {
            login(t, &registry.host, PASSWORD).out().error(1, &path);
        }
        assert_eq!(std::fs::read_to_string(&path).expect("read"), content);
        // What needs no credentials is pulled all the same.
        let open = Registry::open();
        open.push("some/app", "v1", &app(t));
        t.ccrun(&["pull", &format!("{}/some/app:v1", open.host)]).ok();
    }
}

/// A credential helper as small as can be, on a PATH of its own.
fn helper(t: &Sandbox, name: &str) -> String {
    let script = r#"#!/bin/sh
set -eu
mkdir -p "$HOME/kept"
input=$(cat)
case $1 in
store) file=$(printf %s "$input" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/' | tr / _) ;;
*) file=$(printf %s "$input" | tr / _) ;;
esac
case $1 in
store) printf %s "$input" >"$HOME/kept/$file" ;;
get) cat "$HOME/kept/$file" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm "$HOME/kept/$file" ;;
esac
"#;
    let path = t.file(&format!("bin/docker-credential-{name}"), script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", t.path("bin"))
}

fn helpers_keep_secrets(t: &Sandbox) {
    for (door, content) in [
        (Door::ALICE, r#"{"credsStore":"test"}"#.to_owned()),
        (WITH_IDENTITY, r#"{"credsStore":"test"}"#.to_owned()),
        (BASIC, r#"{"credsStore":"none-of-it","credHelpers":{"HOST":"test"}}"#.to_owned()),
    ] {
        let path = helper(t, "test");
        let (registry, name) = closed(t, door);
        t.file("home/.docker/config.json", content.replace("HOST", &registry.host));
        t.ccrun(&["pull", &name]).env("PATH", &path).out().exit(1);
        login(t, &registry.host, PASSWORD).env("PATH", &path).ok().prints("Login Succeeded\n").quiet();
        assert!(holding(t.dir.join("home/.docker"), "pa55").is_empty());
        assert_eq!(read(config(t))["auths"][&registry.host], json!({}));
        t.ccrun(&["pull", &name]).env("PATH", &path).ok();
        t.ccrun(&["logout", &registry.host]).env("PATH", &path).ok().has("Removing login credentials for ");
        assert!(!t.dir.join("home/kept").join(&registry.host).exists());
        t.ccrun(&["pull", &name]).env("PATH", &path).out().exit(1);
        t.ccrun(&["logout", &registry.host]).env("PATH", &path).ok().has("Not logged in to ");
    }
}

fn a_helper_that_fails_is_named(t: &Sandbox) {
    let (registry, name) = closed(t, BASIC);
    let path = helper(t, "test");
    t.file("home/.docker/config.json", r#"{"credsStore":"test"}"#);
    // Not on PATH: a directory that is named by no absolute path is nobody's.
    let out = t.ccrun(&["pull", &name]).env("PATH", format!("bin:{}", "/usr/bin:/bin")).out();
    out.error(1, "the credential helper docker-credential-test is not on PATH; install it, or take it out of ");
    for (script, said) in [
        ("echo 'the keychain is locked'; exit 1", "docker-credential-test failed to get: the keychain is locked"),
        ("exit 3", "docker-credential-test failed to get: it did not say why"),
        ("echo '{\"Username\":\"pa55'", "docker-credential-test failed to get: its answer holds no credentials"),
        ("yes", "docker-credential-test: it says too much"),
    ] {
        t.file("bin/docker-credential-test", format!("#!/bin/sh\n{script}\n"));
        let out = t.ccrun(&["pull", &name]).env("PATH", &path).out().error(1, said);
        assert!(!out.stderr.contains("pa55"), "{}", out.stderr);
    }
    t.file("home/.docker/config.json", r#"{"credsStore":"../../bin/test"}"#);
    t.ccrun(&["pull", &name]).env("PATH", &path).out().error(1, "is not on PATH");
    drop(registry);
}

fn credentials_for_one_registry_never_reach_another(t: &Sandbox) {
    let (own, name) = closed(t, BASIC);
    let (other, other_name) = closed(t, Door { username: "bob", ..BASIC });
    login(t, &own.host, PASSWORD).ok();
    t.ccrun(&["pull", &name]).ok();
    // The other one asks for a password, and then for a token.
    t.ccrun(&["pull", &other_name]).out().error(1, "no basic auth credentials");
    other.switch(|switches| switches.door = Some(Door { username: "bob", ..Door::ALICE }));
    t.ccrun(&["pull", &other_name]).out().error(1, "may require 'ccrun login'");
    // Ours sends us there.
    other.switch(|switches| switches.door = None);
    t.ccrun(&["pull", &other_name]).ok();
    other.forget_log();
    let away = format!("http://127.0.0.1:{}/v2/some/app/manifests/v1", other.host.rsplit(':').next().expect("a port"));
    own.fault("/manifests/", 1, Fault::RedirectTo(away));
    own.forget_log();
    t.ccrun(&["pull", &name]).out();
    assert_eq!(own.log()[0].header("authorization"), BASIC.header());
    let log = other.log();
    assert!(!log.is_empty(), "the redirect was not followed");
    assert!(log.iter().all(|request| !request.header("authorization").starts_with("Basic")), "{log:#?}");
    // Neither does a realm get them that is not the registry's, or that everybody on the way hears.
    for (challenge, said) in [
        ("WWW-Authenticate: Bearer realm=\"http://10.255.255.1/t\"\r\n", "is in a private network; refused"),
        ("WWW-Authenticate: Bearer realm=\"http://auth.example/t\"\r\n", "does not use https; no credentials are sent"),
    ] {
        own.fault("/manifests/", 1, Fault::Status(401, challenge, ""));
        t.ccrun(&["pull", &name]).out().error(1, said);
    }
}

fn no_secret_is_ever_in_a_command_line(t: &Sandbox) {
    // Other tests run beside this one, so that its secrets are its own.
    let own = |text: &str| -> &'static str { Box::leak(format!("{text}-{}", std::process::id()).into_boxed_str()) };
    let (password, identity, control) = (own("pa55:w0rd"), own("identity"), own("control"));
    let mut secrets = vec![password.to_owned(), identity.to_owned(), base64(&format!("alice:{password}"))];
    secrets.extend((1..50).map(|n| own(&format!("token-{n}")).to_owned()));
    secrets.push(control.to_owned());
    let over = AtomicBool::new(false);
    let watch = || {
        let mut seen = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let lines = cmdlines();
            seen.extend(lines.into_iter().filter(|line| secrets.iter().any(|secret| line.contains(secret.as_str()))));
        }
        seen
    };
    let watched = |act: &dyn Fn()| {
        over.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(watch);
            act();
            over.store(true, Ordering::Relaxed);
            watcher.join().expect("the watcher")
        })
    };
    // The watcher sees what there is to see.
    let seen = watched(&|| drop(t.command("sh", &["-c", "sleep 0.3; : $0", control]).ok()));
    assert!(seen.iter().any(|line| line.contains(control)), "{seen:?}");
    let path = helper(t, "test");
    let alice = Door { password, ..Door::ALICE };
    for door in [alice.clone(), Door { basic: true, ..alice.clone() }, Door { identity: Some(identity), ..alice }] {
        for content in ["{}", r#"{"credsStore":"test"}"#] {
            let (registry, name) = closed(t, door.clone());
            t.file("home/.docker/config.json", content);
            let seen = watched(&|| {
                let login = login(t, &registry.host, password).env("PATH", &path).ok();
                let pull = t.ccrun(&["pull", &name]).env("PATH", &path).ok();
                let logout = t.ccrun(&["logout", &registry.host]).env("PATH", &path).ok();
                for said in [login, pull, logout].iter().flat_map(|out| [&out.stdout, &out.stderr]) {
                    assert!(secrets.iter().all(|secret| !said.contains(secret.as_str())), "{said}");
                }
                t.ccrun(&["rmi", &name]).ok();
            });
            assert!(seen.is_empty(), "{seen:#?}");
        }
    }
}

fn tokens_that_run_out_are_got_anew(t: &Sandbox) {
    let (registry, name) = closed(t, Door::ALICE);
    login(t, &registry.host, PASSWORD).ok();
    // Every token lasts for one request.
    registry.switch(|switches| switches.token_uses = Some(1));
    t.ccrun(&["pull", &name]).ok();
    t.ccrun(&["rmi", &name]).ok();
    // None lasts at all: each request is made three times and no more.
    registry.switch(|switches| switches.refuse_tokens = true);
    registry.forget_log();
    t.ccrun(&["pull", &name]).out().error(1, "may require 'ccrun login'");
    assert!(registry.gets("/manifests/") <= 3, "{:#?}", registry.log());
}

fn what_is_known_of_a_registry_saves_round_trips(t: &Sandbox) {
    let registry = Registry::start();
    registry.push("some/app", "v1", &app(t));
    let name = format!("{}/some/app:v1", registry.host);
    let memory = t.store.join("registries").join(format!("{}.json", registry.host));
    let requests = |expected: usize| {
        registry.forget_log();
        t.ccrun(&["pull", &name]).ok();
        assert_eq!(registry.log().len(), expected, "{:#?}", registry.log());
    };
    t.ccrun(&["pull", &name]).ok();
    assert_eq!(std::fs::metadata(&memory).expect("metadata").permissions().mode() & 0o777, 0o600);
    requests(1);
    let known = read(memory.clone());
    // The token is too old: it is got from where it was before.
    let mut old = known.clone();
    old["tokens"]["some/app"]["expires"] = 1.into();
    std::fs::write(&memory, old.to_string()).expect("write");
    requests(2);
    // A token that is refused though it seems good.
    let mut refused = known.clone();
    refused["tokens"]["some/app"]["token"] = "forged".into();
    std::fs::write(&memory, refused.to_string()).expect("write");
    requests(3);
    requests(1);
    for damaged in ["", "{", "[]", r#"{"realm":7,"tokens":[]}"#, r#"{"realm":"http://10.0.0.1/t","tokens":{}}"#] {
        std::fs::write(&memory, damaged).expect("write");
        requests(3);
    }
    // Whoever has credentials gets a token of his own, and it isn't written down.
    registry.switch(|switches| switches.door = Some(Door::ALICE));
    t.file("home/.docker/config.json", entry(&registry.host, &Door::ALICE));
    requests(2);
    let shown = registry.log().last().expect("a request").header("authorization").to_owned();
    let bought = shown.strip_prefix("Bearer ").expect("a token");
    assert!(!std::fs::read_to_string(&memory).expect("read").contains(bought));
}
