//! All commands, in the order in which help lists them, and Docker's other names for some.

use super::args::table::Table;
use super::{container, image, system, volume};

pub static TABLE: Table = Table {
    commands: &[
        &container::run::COMMAND,
        &image::pull::COMMAND,
        &image::images::COMMAND,
        &image::history::COMMAND,
        &image::tag::COMMAND,
        &image::rmi::COMMAND,
        &image::load::COMMAND,
        &image::save::COMMAND,
        &image::import::COMMAND,
        &system::login::COMMAND,
        &system::logout::COMMAND,
        &container::ps::COMMAND,
        &container::stop::COMMAND,
        &container::kill::COMMAND,
        &container::wait::COMMAND,
        &container::rename::COMMAND,
        &container::rm::COMMAND,
        &container::stats::COMMAND,
        &container::update::COMMAND,
        &container::export::COMMAND,
        &system::inspect::COMMAND,
        &image::inspect::COMMAND,
        &container::inspect::COMMAND,
        &system::df::COMMAND,
        &system::prune::COMMAND,
        &image::prune::COMMAND,
        &container::prune::COMMAND,
        &volume::create::COMMAND,
        &volume::ls::COMMAND,
        &volume::inspect::COMMAND,
        &volume::rm::COMMAND,
        &volume::prune::COMMAND,
        &system::check::COMMAND,
        &system::version::COMMAND,
    ],
    aliases: &[
        ("image history", &image::history::COMMAND),
        ("image import", &image::import::COMMAND),
        ("image load", &image::load::COMMAND),
        ("image ls", &image::images::COMMAND),
        ("image pull", &image::pull::COMMAND),
        ("image rm", &image::rmi::COMMAND),
        ("image save", &image::save::COMMAND),
        ("image tag", &image::tag::COMMAND),
        ("container export", &container::export::COMMAND),
        ("container kill", &container::kill::COMMAND),
        ("container ls", &container::ps::COMMAND),
        ("container rename", &container::rename::COMMAND),
        ("container rm", &container::rm::COMMAND),
        ("container run", &container::run::COMMAND),
        ("container stats", &container::stats::COMMAND),
        ("container stop", &container::stop::COMMAND),
        ("container update", &container::update::COMMAND),
        ("container wait", &container::wait::COMMAND),
        ("volume list", &volume::ls::COMMAND),
        ("volume remove", &volume::rm::COMMAND),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for command in TABLE.commands {
            for (i, flag) in command.flags.iter().enumerate() {
                let others = &command.flags[..i];
                assert!(!flag.help.is_empty() && !flag.help.ends_with('.'), "{} --{}", command.name, flag.long);
                assert!(others.iter().all(|other| other.long != flag.long), "{} --{} twice", command.name, flag.long);
                assert!(
                    flag.short.is_none() || others.iter().all(|other| other.short != flag.short),
                    "{} -{:?} twice",
                    command.name,
                    flag.short
                );
            }
        }
    }
}
