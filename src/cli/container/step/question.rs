//! The messages between the processes of a start and the prompter, and the numbers and names of steps in them.

use crate::cli::container::explain::name;
use crate::container::steps::{Side, lessons};

/// A process has reached a step. The step's number and the process's pid on the host follow. The prompter answers
/// [`GO_ON`] when it is the process's turn.
pub const COMES: u8 = b'C';
/// The process has explained the step: the user may be asked.
pub const READY: u8 = b'R';
/// The process describes itself: a piece of text follows.
pub const TELLS: u8 = b'T';
/// There will be no question before the step whose number follows.
pub const LEFT_OUT: u8 = b'L';
/// The start is over, successful or not.
pub const ENDED: u8 = b'E';

/// The user's answers.
pub const GO_ON: u8 = b'g';
pub const TELL: u8 = b'?';
pub const QUIT: u8 = b'q';

/// The longest message.
pub const MOST_BYTES: usize = 16 << 10;

/// The number of a side's step, counted from 1, among those of all sides.
pub fn number_of(side: Side, number: usize) -> u8 {
    let before = lessons().into_iter().take_while(|(other, _)| *other != side);
    (before.map(|(_, of_side)| of_side.len()).sum::<usize>() + number - 1) as u8
}

/// The number of the very last step.
pub fn last() -> u8 {
    lessons().iter().map(|(_, of_side)| of_side.len()).sum::<usize>() as u8 - 1
}

/// Whether this is the last step of its side.
pub fn is_last_of_side(step: u8) -> bool {
    let mut count = 0;
    lessons().iter().any(|(_, of_side)| {
        count += of_side.len();
        count == usize::from(step) + 1
    })
}

/// `[PID 1 16] pivot_root`
pub fn place(step: u8) -> String {
    let mut before = 0;
    for (side, of_side) in lessons() {
        match of_side.get(usize::from(step) - before) {
            Some(lesson) => return format!("[{} {}] {}", name(side), usize::from(step) - before + 1, lesson.name),
            None => before += of_side.len(),
        }
    }
    format!("step {step}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_number_and_a_place() {
        let places: Vec<String> = (0..=last()).map(place).collect();
        assert_eq!((places[0].as_str(), number_of(Side::Supervisor, 1)), ("[supervisor 1] volumes", 0));
        let at = usize::from(number_of(Side::Init, 16));
        assert_eq!(places[at], "[PID 1 16] pivot_root");
        let lasts: Vec<&str> =
            (0..=last()).filter(|step| is_last_of_side(*step)).map(|step| places[usize::from(step)].as_str()).collect();
        assert_eq!(lasts, ["[supervisor 9] wait", "[PID 1 19] fork", "[command 12] execve"]);
        assert!(places[places.len() - 1].ends_with("] execve") && place(last() + 1).starts_with("step "));
    }
}
