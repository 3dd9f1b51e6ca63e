//! Tests of the files with credentials.

use super::*;
use crate::image::mutation;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;

fn file(name: &str, text: &str) -> Result<AuthFile> {
    let content = parse(text.as_bytes()).map_err(|why| damaged(Path::new(name), &why))?;
    Ok(AuthFile { path: name.into(), content })
}

fn server(name: &str) -> Server {
    Server::parse(name).unwrap()
}

/// `user:secret` of what a file has for a repository.
fn found(file: &AuthFile, name: &str, repository: &str) -> Option<String> {
    let credential = file.credential(&server(name), repository).unwrap()?;
    Some(match credential.secret {
        Secret::Password(password) => format!("{}:{password}", credential.username),
        Secret::IdentityToken(token) => format!("{}:<{token}>", credential.username),
    })
}

fn auth(text: &str) -> String {
    base64::encode(text.as_bytes())
}

#[test]
fn the_closest_entry_has_the_word() {
    let entries = ["r.io", "r.io/team", "r.io/team/app", "https://index.docker.io/v1/", "x.io"];
    let entries: Vec<String> =
        entries.iter().map(|key| format!(r#""{key}":{{"auth":"{}"}}"#, auth(&format!("{key}:p:w")))).collect();
    let file =
        file("config.json", &format!(r#"{{"auths":{{{}}}}}"#, entries.join(","))).unwrap_or_else(|e| panic!("{e}"));
    for (name, repository, key) in [
        ("r.io", "other/app", "r.io"),
        ("r.io", "team/more", "r.io/team"),
        ("r.io", "team/app", "r.io/team/app"),
        ("x.io", "team/app", "x.io"),
    ] {
        assert_eq!(found(&file, name, repository).unwrap(), format!("{key}:p:w"));
    }
    // `https:` is all that stands before this name's first colon.
    assert_eq!(found(&file, "docker.io", "library/alpine").unwrap(), "https://index.docker.io/v1/:p:w");
    assert_eq!(found(&file, "y.io", "team/app"), None);
}

#[test]
fn entries_are_read_in_all_their_forms() {
    let of = |entry: &str| {
        file("config.json", &format!(r#"{{"auths":{{"r.io":{entry}}}}}"#)).map(|f| found(&f, "r.io", "a"))
    };
    let token = format!(r#"{{"auth":"{}","identitytoken":"t"}}"#, auth("u:"));
    for (entry, credential) in [
        (format!(r#"{{"auth":"{}"}}"#, auth("u:p")), Some("u:p")),
        (format!(r#"{{"auth":"{}"}}"#, auth("u:p\0\0")), Some("u:p")),
        (r#"{"username":"u","password":"p"}"#.to_owned(), Some("u:p")),
        (token, Some("u:<t>")),
        (r#"{"identitytoken":"t"}"#.to_owned(), Some(":<t>")),
        ("{}".to_owned(), None),
        ("null".to_owned(), None),
    ] {
        assert_eq!(of(&entry).unwrap().as_deref(), credential, "{entry}");
    }
    let old = file(".dockercfg", &format!(r#"{{"https://r.io":{{"auth":"{}","email":"e"}}}}"#, auth("u:p"))).unwrap();
    assert_eq!(found(&old, "r.io", "a").unwrap(), "u:p");
    for empty in ["", " \n", "{}", r#"{"auths":null}"#] {
        assert_eq!(found(&file("config.json", empty).unwrap(), "r.io", "a"), None);
    }
}

#[test]
fn a_damaged_file_is_named_and_its_secrets_are_not() {
    for bad in ["{", "[]", "7", r#"{"auths":[]}"#, r#"{"auths":"s3cret"}"#] {
        let error = file("/h/config.json", bad).err().unwrap().to_string();
        assert!(error.starts_with("the credentials in /h/config.json are damaged: "), "{error}");
        assert!(!error.contains("s3cret"));
    }
    for bad in ["s3cret!", &auth("s3cret"), "w6k6w6k=="] {
        let file = file("/h/config.json", &format!(r#"{{"auths":{{"r.io":{{"auth":"{bad}"}}}}}}"#)).unwrap();
        let error = file.credential(&server("r.io"), "a").err().unwrap().to_string();
        assert!(error.starts_with("the credentials in /h/config.json are damaged: r.io: "), "{error}");
        assert!(!error.contains(bad) && !error.contains("s3cret"), "{error}");
        // What is for another registry is nobody's business.
        assert!(file.credential(&server("x.io"), "a").unwrap().is_none());
    }
}

#[test]
fn helpers_are_for_one_registry_or_for_all() {
    let text = r#"{"credsStore":"all","credHelpers":{"r.io":"own","https://index.docker.io/v1/":"hub","x.io":""}}"#;
    let file = file("config.json", text).unwrap();
    let helper = |name: &str| file.helper(&server(name)).map(|helper| helper.name.to_owned());
    assert_eq!(helper("r.io").unwrap(), "own");
    assert_eq!(helper("docker.io").unwrap(), "hub");
    assert_eq!(helper("y.io").unwrap(), "all");
    assert_eq!(helper("x.io"), None);
    assert!(file.knows(&server("r.io")) && !file.knows(&server("y.io")));
}

#[test]
fn what_is_written_is_read_back_and_the_rest_stays() {
    let dir = std::env::temp_dir().join(format!("ccrun-auths-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (path, link) = (dir.join("real.json"), dir.join("config.json"));
    std::fs::write(&path, r#"{"psFormat":"x","auths":{"https://r.io":{"auth":"bad"},"y.io":{"auth":"eTp5"}}}"#)
        .unwrap();
    symlink("real.json", &link).unwrap();
    let mut file = AuthFile::read(&link).unwrap();
    file.set(&server("r.io"), Some(&Credential::password("u", "p:ü")));
    file.set(&server("docker.io"), Some(&Credential::identity_token("", "t")));
    file.write().unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": "), "{text}");
    let mut file = AuthFile::read(&link).unwrap();
    assert_eq!(file.content["psFormat"], "x");
    assert_eq!(found(&file, "r.io", "a").unwrap(), "u:p:ü");
    assert_eq!(found(&file, "y.io", "a").unwrap(), "y:y");
    assert_eq!(found(&file, "docker.io", "a").unwrap(), ":<t>");
    assert!(file.remove(&server("r.io")) && !file.remove(&server("r.io")));
    assert_eq!(found(&file, "r.io", "a"), None);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn no_content_makes_it_panic() {
    let seeds = [
        r#"{"auths":{"r.io":{"auth":"dTpw"},"r.io/a":{"identitytoken":"t"}},"credsStore":"all","credHelpers":{"r.io":"own"}}"#,
        r#"{"auths":{"https://r.io/v1/":{"auth":"dTpw"}}}"#,
    ];
    let server = server("r.io");
    mutation::each(&seeds, 5000, |bytes| {
        if let Ok(content) = parse(bytes) {
            let mut file = AuthFile { path: "config.json".into(), content };
            assert!(file.helper(&server).is_none_or(|helper| !helper.name.is_empty()));
            drop(file.credential(&server, "a/b"));
            file.set(&server, Some(&Credential::password("u", "p")));
            let written = parse(indented(&file.content).as_bytes()).unwrap();
            assert!(written == file.content);
            assert!(file.remove(&server));
        }
    });
}
