//! Tests of templates: what Prometheus renders, by its documentation and as promtool confirms for shipped rules.

use super::*;
use std::collections::BTreeMap;

fn rendered(text: &str, value: f64) -> Result<String, String> {
    let labels: BTreeMap<_, _> = [("host", "web1.example.org:9100"), ("job", "api")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let variables = [("labels", Value::texts(&labels)), ("value", Value::Number(value))];
    let dot =
        Value::Map([("Labels".to_owned(), Value::texts(&labels)), ("Value".to_owned(), Value::Number(value))].into());
    let query = |text: &str| match text {
        "up" => Ok(vec![
            ([("job".to_owned(), "b".to_owned())].into(), 2.0),
            ([("job".to_owned(), "a".to_owned())].into(), 1.0),
        ]),
        "none" => Ok(Vec::new()),
        other => Err(format!("{other} is no expression")),
    };
    let ground = Ground { query: &query, external_url: "http://here:8080/iw" };
    render(&Template::parse(text)?, &variables, &dot, &ground)
}

#[test]
fn renders() {
    let cases = [
        ("plain", 1.0, "plain"),
        ("{{ $labels.host }} {{ .Labels.job }} {{ $labels.absent }}!", 1.0, "web1.example.org:9100 api !"),
        ("{{ $value }} {{ .Value }}", 0.853, "0.853 0.853"),
        ("{{ $value }}", 1e21, "1e+21"),
        ("{{ $value }}", 0.00001, "1e-05"),
        ("{{ $value | printf \"%.2f\" }}", 0.856, "0.86"),
        (
            "{{ printf \"%5.1f|%-6s|%06.2f|%d|%q\" $value $labels.job $value 7 \"a\" }}",
            2.0,
            "  2.0|api   |002.00|7|\"a\"",
        ),
        ("{{ printf \"%d\" $value }}", 2.5, "%!d(float64=2.5)"),
        ("{{ printf \"%s%%\" }}", 2.5, "%!s(MISSING)%"),
        ("{{ $value | humanize }}", 1_234_567.0, "1.235M"),
        ("{{ $value | humanize }}", 0.0123, "12.3m"),
        ("{{ $value | humanize1024 }}", 1_048_576.0, "1Mi"),
        ("{{ $value | humanizePercentage }}", 0.12345, "12.35%"),
        ("{{ $value | humanizeDuration }}", 93_784.0, "1d 2h 3m 4s"),
        ("{{ $value | humanizeDuration }}", 0.00125, "1.25ms"),
        ("{{ $value | humanizeTimestamp }}", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ $labels.job | toUpper }} {{ \"two words\" | title }}", 0.0, "API Two Words"),
        ("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.host }}", 0.0, "web1.example.org"),
        ("{{ stripPort $labels.host }} {{ stripDomain $labels.host }}", 0.0, "web1.example.org web1:9100"),
        ("{{ if gt $value 0.9 }}high{{ else if gt $value 0.5 }}middle{{ else }}low{{ end }}", 0.7, "middle"),
        ("a {{- /* not said */ -}} b {{- $x := 3 }}{{ $x }}", 0.0, "ab3"),
        ("{{ range query \"up\" | sortByLabel \"job\" }}{{ .Labels.job }}={{ .Value }} {{ end }}", 0.0, "a=1 b=2 "),
        ("{{ range $i, $one := query \"up\" }}{{ $i }}{{ $one | value }};{{ end }}", 0.0, "02;11;"),
        ("{{ with query \"none\" }}some{{ else }}none{{ end }}", 0.0, "none"),
        ("{{ query \"up\" | first | label \"job\" }} {{ (query \"up\" | first).Labels.job }}", 0.0, "b b"),
        (
            "{{ externalURL }}{{ graphLink \"a b\" }} {{ pathPrefix }}",
            0.0,
            "http://here:8080/iw/graph?g0.expr=a+b&g0.tab=0 /iw",
        ),
        ("{{ if and (eq $labels.job \"api\" \"web\") (not (match \"^db\" $labels.job)) }}yes{{ end }}", 0.0, "yes"),
        ("{{ parseDuration \"1h30m\" }} {{ len $labels }} {{ index $labels \"job\" }}", 0.0, "5400 2 api"),
    ];
    for (text, value, expected) in cases {
        assert_eq!(rendered(text, value).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_when_it_is_read() {
    let cases = [
        ("{{ $value", "does not end"),
        ("{{ nope $value }}", "\"nope\" is not there"),
        ("{{ if $value }}", "has no end"),
        ("{{ end }}", "belongs to nothing"),
        ("{{ template \"x\" }}", "template is not there"),
        ("{{ \"a }}", "does not end"),
        ("{{ | humanize }}", "a command is missing"),
        ("{{ ((((1) }}", "does not close"),
        ("{{}}", "empty"),
    ];
    for (text, words) in cases {
        let error = Template::parse(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    let deep = "{{ if true }}".repeat(100) + &"{{ end }}".repeat(100);
    assert!(Template::parse(&deep).unwrap_err().contains("within each other"));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100), ")".repeat(100));
    assert!(Template::parse(&deep).unwrap_err().contains("within each other"));
}

#[test]
fn what_goes_wrong_later_is_said_and_ends() {
    for (text, words) in [
        ("{{ $nothing }}", "there is no $nothing"),
        ("{{ query \"1 +\" }}", "no expression"),
        ("{{ $labels.job | humanize }}", "is no number"),
        ("{{ query \"none\" | first }}", "there is none"),
        ("{{ lt $value $labels.job }}", "cannot be compared"),
    ] {
        let error = rendered(text, 1.0).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    let wide = "{{ printf \"%1000d\" 1 }}".repeat(100);
    assert!(rendered(&wide, 1.0).unwrap_err().contains("too long"));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(\\{\\{|\\}\\}|[-|$.()a-z\" 0-9:=/*])*") {
        let _ = rendered(&text, 1.5);
    }
}
