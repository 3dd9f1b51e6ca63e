//! The threats that ccrun must withstand, a row each, and the tests that say so.
//!
//! E: out of a container, or into its runtime. U: unpacking. R: registries. Each row names the
//! attacks that made it (their CVEs) in its tests. Tests of E rows are called after them
//! (`e02_…`) and need nothing but ccrun and a busybox, so that they run on any machine, as
//! each kind of user; what ccrun answers is compared with Docker and podman in judges/walls.rs.

pub mod kernel;
pub mod mounts;
pub mod neighbours;
pub mod registry;
pub mod start;
pub mod unpack;

use crate::archives::form;
use crate::image::{Image, Layer};
use crate::probe::Vector;
use crate::sandbox::Sandbox;
use crate::tar::Tar;
use crate::{cases, skip};
use std::path::Path;

cases! {
    Once: every_row_has_its_tests
}

struct Row {
    id: &'static str,
    about: &'static str,
    /// Cases by their names here, unit tests as `src/FILE.rs::name`.
    tests: &'static [&'static str],
    /// What of it waits for a command that there is not yet.
    waits: &'static str,
}

const fn row(id: &'static str, about: &'static str, tests: &'static [&'static str]) -> Row {
    Row { id, about, tests, waits: "" }
}

const fn waiting(id: &'static str, about: &'static str, tests: &'static [&'static str], waits: &'static str) -> Row {
    Row { id, about, tests, waits }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    waiting("E1", "the runtime's own file is overwritten", &["threats::start::e01_runtime_overwritten"],
        "exec: writers on /proc/*/exe while 200 of it start"),
    waiting("E2", "leaked descriptors as the way out", &["threats::start::e02_leaked_descriptors_and_workdir"],
        "exec: -w /proc/self/fd/N"),
    row("E3", "mount targets that are links, or become ones", &["threats::mounts::e03_mount_targets_led_astray"]),
    row("E4", "masks and devices of the image's own", &["threats::mounts::e04_masks_by_the_images_devices"]),
    waiting("E5", "programs and links of the image used by the host", &["threats::start::e05_helpers_of_the_image"],
        "cp: links and racing links on both sides; top"),
    waiting("E6", "another way in with fewer limits", &["threats::start::e06_every_way_in_has_the_same_limits"],
        "exec: the same status as run"),
    row("E7", "numbers of users that overflow", &["threats::start::e07_numbers_of_users"]),
    row("E8", "groups that stay, or are dropped", &["threats::start::e08_groups"]),
    row("E9", "passwd and group as traps", &["threats::start::e09_user_files_as_traps"]),
    row("E10", "switches of the host's kernel", &["threats::mounts::e10_switches_of_the_kernel"]),
    row("E11", "cgroup v1's release_agent", &["threats::mounts::e11_release_agent"]),
    row("E12", "nested user namespaces", &["threats::kernel::e12_nested_user_namespaces"]),
    row("E13", "AF_ALG and AF_VSOCK", &["threats::kernel::e13_crypto_sockets"]),
    row("E14", "XFRM, AF_KEY and RxRPC", &["threats::kernel::e14_ipsec_and_rxrpc"]),
    row("E15", "io_uring, bpf, perf and their kind", &["threats::kernel::e15_doors_of_the_kernel"]),
    row("E16", "keyrings", &["threats::kernel::e16_keyrings"]),
    row("E17", "typing into the host's terminal", &["threats::kernel::e17_typing_into_the_terminal"]),
    row("E18", "escapes for the terminal in names and messages", &["threats::neighbours::e18_escapes_in_text",
        "errors::text_from_outside_cannot_move_the_cursor", "hostile::documents::documents_that_cannot_be_are_refused"]),
    row("E19", "abstract sockets of the host", &["threats::neighbours::e19_abstract_sockets"]),
    row("E20", "devices", &["threats::mounts::e20_devices"]),
    row("E21", "what the kernel tells of the host", &["threats::mounts::e21_leaks_of_the_kernel"]),
    row("E22", "set-user-id files in the store", &["threats::mounts::e22_set_user_id_in_the_store"]),
    waiting("E23", "looking into ccrun's own processes", &["threats::start::e23_looking_into_ccrun"],
        "exec: the loop while 500 of it start"),
    waiting("E24", "a process number that is somebody else's by now", &["threats::neighbours::e24_a_strangers_number"],
        "stop, kill, exec: the same"),
    row("E25", "the host's environment", &["threats::start::e25_environment"]),
    row("E26", "what a process inherits", &["threats::start::e26_inherited_state"]),
    row("E27", "mounts that come back to the host", &["threats::mounts::e27_propagation",
        "isolation::no_mount_is_shared_with_a_host_that_shares_all"]),
    row("E28", "the old root", &["threats::mounts::e28_the_old_root", "isolation::the_old_way_out_of_a_chroot_leads_nowhere"]),
    row("E29", "files by handle (shocker)", &["threats::kernel::e29_files_by_handle"]),
    row("E30", "metadata that the host obeys", &["threats::start::e30_metadata_is_inert"]),
    waiting("E31", "using up the host", &["threats::neighbours::e31_using_up_the_host", "limits::pids_limit_stops_a_fork_bomb",
        "limits::memory_ends_what_takes_too_much"], "logs: a cap on what is kept of a detached container's output"),
    waiting("E32", "services of the host and of the cloud", &["threats::neighbours::e32_services_of_the_host"],
        "port publishing and a network beyond loopback: the same by way of pasta"),
    row("E33", "holes of the filter", &["threats::kernel::e33_other_doors_to_the_same_calls"]),

    row("U1", "names that lead out", &["unpack::evil_names_reach_nothing_outside", "unpack::links_lead_nowhere_outside",
        "src/image/layer/tests.rs::nothing_outside_is_touched", "hostile::layers::hundreds_of_hostile_layers"]),
    row("U2", "a directory over a link", &["src/image/layer/tests.rs::a_directory_over_a_symlink_never_changes_what_it_points_to"]),
    row("U3", "hard links", &["unpack::links_lead_nowhere_outside", "unpack::hard_links_are_one_file",
        "src/image/layer/tests.rs::hard_links_wait_for_their_target"]),
    row("U4", "whiteouts", &["unpack::links_lead_nowhere_outside", "unpack::whiteouts_hide_what_lies_below",
        "src/image/layer/tests.rs::whiteouts_hide_lower_layers_only",
        "src/image/layer/tests.rs::depth_and_numbers_cost_no_more_than_they_have_to"]),
    row("U5", "a tar with two meanings", &["threats::unpack::u05_a_tar_in_a_tar_is_a_file",
        "src/image/tar/tests.rs::pax_wins_over_gnu_and_gnu_over_the_header", "judges::umoci_makes_the_same_tree"]),
    row("U6", "bombs", &["unpack::a_bomb_does_not_go_off", "src/image/layer/tests.rs::limits_are_errors",
        "src/image/tar/tests.rs::nothing_is_read_into_memory_because_a_header_says_so",
        "errors::a_full_disk_leaves_the_store_as_it_was", "hostile::layers::hundreds_of_hostile_layers"]),
    row("U7", "overlay's and the kernel's own attributes", &["src/image/layer/tests.rs::only_allowed_xattrs_are_set"]),
    row("U8", "set-id bits and the order of things", &["judges::umoci_makes_the_same_tree", "judges::docker_makes_the_same_trees",
        "src/image/layer/tests.rs::owners_are_kept_where_they_can_be"]),
    row("U9", "devices and FIFOs in layers", &["unpack::devices_and_fifos_are_no_trap"]),
    row("U10", "a document with two meanings", &["src/image/manifest.rs::a_document_with_two_meanings_is_refused",
        "hostile::documents::documents_that_cannot_be_are_refused"]),
    row("U11", "indexes without end", &["hostile::documents::indexes_end"]),
    row("U12", "digests as paths", &["src/image/digest.rs::anything_else_is_refused",
        "hostile::documents::documents_that_cannot_be_are_refused", "hostile::documents::configs_that_cannot_be_are_refused"]),
    row("U13", "content that is not what its digest says", &["errors::a_wrong_digest_is_refused",
        "errors::a_cut_or_corrupt_layer_is_refused", "src/image/digest.rs::one_byte_more_than_declared_is_an_error"]),
    row("U14", "odd JSON", &["threats::unpack::u14_odd_environments", "src/image/json.rs::depth_and_number_of_values_are_bounded",
        "src/image/json.rs::no_bytes_make_it_panic", "hostile::documents::odd_documents_are_borne",
        "hostile::documents::hundreds_of_damaged_documents"]),
    row("U15", "odd names and times", &["unpack::names_of_every_length_and_kind", "judges::umoci_makes_the_same_tree",
        "archives::what_is_saved_loads_with_the_same_id"]),

    row("R1", "realms that lead astray", &["src/image/registry/auth/server.rs::a_realm_cannot_lead_astray",
        "src/image/url.rs::internal_hosts_are_known_in_every_notation",
        "credentials::credentials_for_one_registry_never_reach_another"]),
    row("R2", "credentials that follow a redirect", &["pull::the_token_goes_to_the_registry_and_nowhere_else",
        "hub_pull::credentials_stay_with_their_hosts", "faults::nobody_is_led_away_from_tls",
        "src/image/registry/curl.rs::a_stranger_cannot_send_us_into_our_own_network"]),
    row("R3", "options for curl in what is typed", &["threats::registry::r03_curlrc_is_not_read",
        "errors::names_that_are_no_names", "src/image/registry/curl.rs::options_cannot_be_broken_out_of",
        "credentials::no_secret_is_ever_in_a_command_line"]),
    row("R4", "answers without end", &["threats::registry::r04_answers_without_end", "faults::a_stalled_transfer_is_begun_again",
        "errors::a_silent_registry_is_given_up"]),
    row("R5", "parts that are none", &["transport::servers_that_cannot_give_a_part",
        "transport::what_was_put_together_wrongly_comes_again_as_a_whole", "threats::registry::r05_a_list_that_goes_on_elsewhere"]),
    row("R6", "digests that lie", &["threats::registry::r06_a_digest_in_a_header_decides_nothing",
        "errors::a_wrong_digest_is_refused"]),
    row("R7", "helpers that lie about", &["threats::registry::r07_no_program_of_this_directory_is_run",
        "credentials::a_helper_that_fails_is_named"]),
    row("R8", "files and messages with secrets", &["login::a_login_opens_what_was_closed_until_the_logout",
        "credentials::no_secret_is_ever_in_a_command_line",
        "src/image/registry/credentials/file/tests.rs::a_damaged_file_is_named_and_its_secrets_are_not"]),
];

fn every_row_has_its_tests(_: &Sandbox) {
    let wanted = [('E', 33), ('U', 15), ('R', 8)];
    let wanted: Vec<String> =
        wanted.iter().flat_map(|(kind, last)| (1..=*last).map(move |n| format!("{kind}{n}"))).collect();
    let ids: Vec<&str> = TABLE.iter().map(|row| row.id).collect();
    assert_eq!(ids, wanted, "the rows");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !source.join("src").exists() {
        skip!("the source is not on this machine");
    }
    let mut offences = Vec::new();
    for row in TABLE {
        for test in row.tests {
            let there = match test.strip_prefix("src/") {
                Some(_) => {
                    let (file, name) = test.split_once("::").expect("src/FILE::name");
                    let text = std::fs::read_to_string(source.join(file)).unwrap_or_default();
                    let at = text.find(&format!("fn {name}()"));
                    at.is_some_and(|at| text[..at].trim_end().ends_with("#[test]"))
                }
                None => crate::CASES.iter().copied().flatten().any(|case| case.name() == *test),
            };
            if !there {
                offences.push(format!("{}: there is no test {test}", row.id));
            }
        }
        let number = row.id[1..].parse::<u8>().expect("a number");
        let own = format!("::{}{number:02}_", row.id[..1].to_lowercase());
        if row.tests.is_empty() || (row.id.starts_with('E') && !row.tests[0].contains(&own)) {
            offences.push(format!("{}: no test has its name", row.id));
        }
        if !row.waits.is_empty() {
            println!("waits: {} ({}): {}", row.id, row.about, row.waits);
        }
    }
    // Nor is there a test of a row that nobody would find.
    for case in crate::CASES.iter().copied().flatten().filter(|case| case.name().starts_with("threats::")) {
        let named = TABLE.iter().any(|row| row.tests.contains(&case.name()));
        if !named && case.name() != "threats::every_row_has_its_tests" {
            offences.push(format!("{} stands in no row", case.name()));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

/// How often a race is run, or the like: a slow machine takes a part of it, by `CCRUN_IT_PART` (a tenth: 10).
pub fn times(count: usize) -> usize {
    let part = std::env::var("CCRUN_IT_PART").ok().and_then(|part| part.parse().ok()).unwrap_or(1);
    count.div_ceil(part)
}

impl Sandbox {
    /// What the probe tells of a container of busybox.
    #[track_caller]
    fn probe(&self, flags: &[&str], sections: &[&str]) -> Vector {
        Vector::parse(&self.inside(flags, &[&["probe"], sections].concat()).ok().stdout)
    }

    /// What becomes of these attempts (probe/attempts.rs).
    #[track_caller]
    fn attempts(&self, flags: &[&str], names: &[&str]) -> Vector {
        self.probe(flags, &[&format!("try={}", names.join(","))])
    }

    /// The busybox fixture as a root file system of this test's own, which `change` makes evil.
    fn root(&self, name: &str, change: impl FnOnce(&Path)) -> String {
        self.command("cp", &["-a", &self.busybox, name]).ok();
        change(&self.dir.join(name));
        self.path(name)
    }

    /// Busybox and more in one layer, as an image with this name.
    fn load(&self, name: &str, more: Tar, settings: &[(&str, serde_json::Value)]) {
        let mut image = Image::new(vec![Layer::plain(more.tree(self.busybox.as_ref(), "").finish())]);
        for (name, value) in settings {
            image = image.set(name, value.clone());
        }
        self.ccrun(&["load"]).stdin(form::docker_old(&[(&image, &[name])])).ok();
    }
}

/// `try.` before each of them.
fn tried(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("try.{name}")).collect()
}

/// Each of these attempts has one of these answers.
#[track_caller]
fn all_are(vector: &Vector, names: &[&str], answers: &[&str]) {
    let bad: Vec<String> = tried(names)
        .iter()
        .map(|name| (name, vector.get(name)))
        .filter(|(_, answer)| !answers.contains(answer))
        .map(|(name, answer)| format!("{name} {answer}"))
        .collect();
    assert!(bad.is_empty(), "should be {answers:?}: {bad:?}");
}

/// Names, kinds, sizes and owners of all that lies in a directory.
fn snapshot(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut all = Vec::new();
    crate::sandbox::walk(dir, &mut |path| {
        let meta = path.symlink_metadata().expect("lstat");
        let size = if meta.is_file() { meta.size() } else { 0 };
        all.push(format!("{} {:o} {}:{} {size}", path.display(), meta.mode(), meta.uid(), meta.gid()));
    });
    all.sort();
    all
}
