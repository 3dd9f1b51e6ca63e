//! The host's and the images' lists of users and groups, taken apart: passwd(5) and group(5).
//!
//! Only the fields are found here: which lines count, and what a number may be, differs
//! between the C libraries and Docker, and is for the caller to say. A missing field is empty.

/// A line of passwd(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<'a> {
    pub name: &'a str,
    pub uid: &'a str,
    pub gid: &'a str,
    pub home: &'a str,
}

/// A line of group(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    pub name: &'a str,
    pub gid: &'a str,
    members: &'a str,
}

impl<'a> User<'a> {
    pub fn parse(line: &'a str) -> User<'a> {
        let [name, _, uid, gid, _, home] = fields(line);
        User { name, uid, gid, home }
    }

    pub fn uid(&self) -> Option<u32> {
        number(self.uid)
    }

    pub fn gid(&self) -> Option<u32> {
        number(self.gid)
    }
}

impl<'a> Group<'a> {
    pub fn parse(line: &'a str) -> Group<'a> {
        let [name, _, gid, members] = fields(line);
        Group { name, gid, members }
    }

    pub fn gid(&self) -> Option<u32> {
        number(self.gid)
    }

    /// The names of its members; an empty field has none.
    pub fn members(self) -> impl Iterator<Item = &'a str> {
        Some(self.members).filter(|list| !list.is_empty()).into_iter().flat_map(|list| list.split(','))
    }
}

/// All lines of a passwd(5).
pub fn users(text: &str) -> impl Iterator<Item = User<'_>> {
    text.lines().map(User::parse)
}

/// All lines of a group(5).
pub fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().map(Group::parse)
}

/// The first user of this number.
pub fn user_of(uid: u32, text: &str) -> Option<User<'_>> {
    users(text).find(|user| user.uid() == Some(uid))
}

fn fields<const N: usize>(line: &str) -> [&str; N] {
    let mut fields = line.split(':');
    std::array::from_fn(|_| fields.next().unwrap_or_default())
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_taken_apart() {
        let text = "root:x:0:0:root:/root:/bin/sh\nshort:x: 7\n:::::\n#c:x:8:9::/h:\nbad:x:y:-1\n";
        let found: Vec<_> = users(text).map(|user| (user.name, user.uid(), user.gid(), user.home)).collect();
        let wanted = [
            ("root", Some(0), Some(0), "/root"),
            ("short", Some(7), None, ""),
            ("", None, None, ""),
            ("#c", Some(8), Some(9), "/h"),
            ("bad", None, None, ""),
        ];
        assert_eq!(found, wanted);
        assert_eq!(user_of(7, text).map(|user| user.name), Some("short"));
        assert_eq!(user_of(4_294_967_295, text), None);
    }

    #[test]
    fn groups_are_taken_apart() {
        let text = "root:x:0:\nteam:x:50:ann,bob, eve\nshort:x:9\n\nodd:x:99999999999:a,,b:more\n";
        let found: Vec<_> =
            groups(text).map(|group| (group.name, group.gid(), group.members().collect::<Vec<_>>())).collect();
        let wanted = [
            ("root", Some(0), vec![]),
            ("team", Some(50), vec!["ann", "bob", " eve"]),
            ("short", Some(9), vec![]),
            ("", None, vec![]),
            ("odd", None, vec!["a", "", "b"]),
        ];
        assert_eq!(found, wanted);
    }
}
