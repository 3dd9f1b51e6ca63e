//! Templates: what people write behind `--format`, in the part of Go's text/template that they use.
//!
//! Text with actions in it: `{{.Config.Env}}`, `{{json .}}`, `{{range $name, $value := .Labels}}…{{end}}`,
//! `{{if eq .Os "linux"}}…{{else}}…{{end}}`, `{{index .RepoTags 0 | upper}}`. It is told of JSON values: where
//! Docker's own types are structures, a name that they do not have is an error here too.

mod eval;
mod functions;
mod lexer;
mod parser;

use crate::error::Result;
use parser::Node;
use serde_json::Value;

/// A template that has been read.
pub struct Template(Vec<Node>);

impl Template {
    pub fn parse(text: &str) -> Result<Template> {
        parser::parse(text).map(Template).map_err(|error| error.context("template parsing error"))
    }

    /// The text with every action done for `value`.
    pub fn render(&self, value: &Value) -> Result<String> {
        eval::render(&self.0, value).map_err(|error| error.context("template"))
    }
}

/// A value that something goes through, `Pipeline`s being Go's word for it.
type Pipeline = Vec<Call>;

/// A value, or a function with what it is given; in a pipeline the result before it comes last.
type Call = Vec<Operand>;

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// `.A.B`; no name: the dot itself.
    Dot(Vec<String>),
    /// `$name.A.B`; the name `` is the value that the whole template is told of.
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    /// `(…).A.B`
    Group(Pipeline, Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    fn image() -> Value {
        json!({
            "Id": "sha256:abc", "RepoTags": ["a:1", "b:2"], "Size": 1234, "Os": "linux", "Parent": "",
            "Config": {"Env": ["A=1", "B=2"], "Cmd": null, "Labels": {"x.y": "1", "z": "2"}, "User": ""},
            "RootFS": {"Layers": ["l1"]},
        })
    }

    fn render(template: &str) -> std::result::Result<String, String> {
        Template::parse(template).and_then(|template| template.render(&image())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_people_write_behind_inspect_works() {
        for (template, text) in [
            ("", ""),
            ("plain } text", "plain } text"),
            ("{{.Id}} {{ .Size }}", "sha256:abc 1234"),
            ("{{.Config.Env}} {{.Config.Labels}} {{.Config.Cmd}}", "[A=1 B=2] map[x.y:1 z:2] []"),
            ("{{json .RootFS}}", r#"{"Layers":["l1"]}"#),
            ("{{json .Config.Cmd}}{{json \"<>\"}}", "null\"<>\""),
            ("{{len .RepoTags}}{{len .Id}}{{.Config.Env | len}}", "2102"),
            ("{{index .RepoTags 0}} {{index .Config.Labels \"x.y\"}} {{index .Config.Labels \"no\"}}", "a:1 1 "),
            ("{{(index .RepoTags 1)}}{{(index .RepoTags 1) | upper}}", "b:2B:2"),
            ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
            ("{{range .Config.Env}}[{{.}}]{{end}}", "[A=1][B=2]"),
            ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
            ("{{range $at, $tag := .RepoTags}}{{$at}}={{$tag}};{{end}}", "0=a:1;1=b:2;"),
            ("{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}},{{end}}", "x.y:1,z:2,"),
            ("{{range $v := .RepoTags}}{{$v}}{{$.Os}} {{end}}", "a:1linux b:2linux "),
            ("{{join .RepoTags \", \"}} {{.RepoTags | json}}", "a:1, b:2 [\"a:1\",\"b:2\"]"),
            ("{{upper .Os}}{{.Os | title}}{{lower `ABC`}}", "LINUXLinuxabc"),
            ("{{upper `aé`}}{{lower `AÉ`}}{{title `a éb-c`}}", "AéaÉA éb-C"),
            ("{{split .Id \":\"}} {{index (split .Id \":\") 1}}", "[sha256 abc] abc"),
            ("{{if .Parent}}child{{else}}root{{end}}", "root"),
            ("{{if .Parent}}a{{else if .Size}}b{{else}}c{{end}}", "b"),
            ("{{if and .Os (not .Parent)}}yes{{end}}{{if or .Parent .Config.Cmd}}no{{end}}", "yes"),
            ("{{if eq .Os \"linux\" \"other\"}}=1{{end}}{{if ne .Size 1}}!{{end}}{{if gt .Size 1000}}>{{end}}", "=1!>"),
            ("{{with .Config}}{{.User}}{{len .Env}}{{end}}{{with .Parent}}x{{else}}y{{end}}", "2y"),
            ("{{$n := .Size}}{{$n}} {{$n = 5}}{{$n}}", "1234 5"),
            ("a {{- .Os -}} b", "alinuxb"),
            ("a{{/* said to nobody */}}b", "ab"),
            ("{{\"{{\"}}{{`}}`}} {{true}} {{-7}} {{\"a\\tb\"}}", "{{}} true -7 a\tb"),
            (
                "{{printf \"%s|%5d|%-4s|%v|%q|%%\" .Os .Size \"ab\" .RepoTags \"q\"}}",
                "linux| 1234|ab  |[a:1 b:2]|\"q\"|%",
            ),
            ("{{truncate .Id 3}}{{pad .Os 1 2}}|{{print .Os 1 2}}", "sha linux  |linux1 2"),
            ("{{.Config.Labels.nothing}}", "<no value>"),
            ("{{slice .Id 0 6}}", "sha256"),
            ("{{.Config.Healthcheck}}{{.Config.StopSignal}}{{.Config.Volumes}}", "<nil>map[]"),
            ("{{with .Config}}{{.Cmd}}{{end}}{{if .Config.Healthcheck}}x{{end}}", "[]"),
        ] {
            assert_eq!(render(template), Ok(text.to_owned()), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_is_told_in_one_line() {
        for (template, text) in [
            ("{{.Bogus}}", "template: at <.Bogus>: can't evaluate field Bogus"),
            ("{{.Config.Bogus}}", "template: at <.Config.Bogus>: can't evaluate field Bogus"),
            ("{{.Id.X}}", "template: at <.Id.X>: can't evaluate field X"),
            ("{{bogus .}}", "template parsing error: function \"bogus\" not defined"),
            ("{{.Id", "template parsing error: unclosed action"),
            ("{{if .Id}}x", "template parsing error: unexpected EOF"),
            ("x{{end}}", "template parsing error: unexpected {{end}}"),
            ("{{else}}", "template parsing error: unexpected {{else}}"),
            ("{{}}", "template parsing error: missing value for command"),
            ("{{.Id | }}", "template parsing error: missing value for command"),
            ("{{(.Id}}", "template parsing error: unclosed left paren"),
            ("{{.Id)}}", "template parsing error: unexpected right paren"),
            ("{{\"a}}", "template parsing error: unterminated quoted string"),
            ("{{.Id !}}", "template parsing error: unexpected '!'"),
            ("{{$x}}", "template: at <$x>: undefined variable"),
            ("{{template \"x\"}}", "template parsing error: function \"template\" not defined"),
            ("{{index .RepoTags 9}}", "template: error calling index: index out of range: 9"),
            ("{{len .Size}}", "template: error calling len: len of 1234"),
            ("{{range .Id}}{{end}}", "template: range can't iterate over sha256:abc"),
            ("{{.Id 1}}", "template: a value is no function and takes no arguments"),
            ("{{json}}", "template: error calling json: it wants 1 argument, not 0"),
            ("{{printf \"%s %s\" .Id}}", "template: error calling printf: too few arguments for \"%s %s\""),
        ] {
            assert_eq!(render(template), Err(text.to_owned()), "{template}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let seed = "{{range $k, $v := .Config.Labels}}{{if eq $k `x`}}{{- printf \"%-5s\" (json $v) | upper -}}\
                    {{else}}é{{end}}{{end}}{{index .RepoTags 0}}{{slice .Id 2 4}}";
        crate::image::mutation::each(&[seed], 20_000, |bytes| {
            let _ = render(&String::from_utf8_lossy(bytes));
        });
    }
}
