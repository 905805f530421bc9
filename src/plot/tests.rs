//! What a picture holds, whatever it is given.

use super::*;

fn chart() -> Chart {
    let value = |i: i64| 50.0 + (i as f64 / 4.0).sin();
    Chart {
        title: "CPU <busy> & \"idle\"".to_owned(),
        description: "Values and forecast.".to_owned(),
        values: (0..100).map(|i| (i * 60_000, value(i))).collect(),
        band: (0..100).map(|i| BandPoint { time_ms: i * 60_000, lower: 48.0, upper: 52.0 }).collect(),
        forecast: (100..120).map(|i| FanPoint { time_ms: i * 60_000, value: 50.0, lower: 48.0, upper: 52.0 }).collect(),
        envelope: [(0, 48.5), (7_140_000, 49.5)]
            .map(|(time_ms, floor)| EnvelopePoint { time_ms, floor, peak: 52.5 })
            .to_vec(),
        limit: Some(53.0),
        marks: MarkSeverity::ALL
            .map(|severity| Mark { time_ms: 600_000, value: 51.0, severity, text: "odd".to_owned() })
            .to_vec(),
    }
}

#[test]
fn every_layer_is_there_and_only_what_was_given() {
    let svg = chart().to_svg();
    for class in
        ["value", "band", "fan", "ahead", "envelope", "limit", "mark low", "mark medium", "mark high", "mark critical"]
    {
        assert!(svg.contains(&format!("class=\"{class}\"")), "{class}");
    }
    let bare = Chart { values: chart().values, ..Chart::default() }.to_svg();
    for class in ["band", "fan", "ahead", "envelope", "limit", "mark low"] {
        assert!(!bare.contains(&format!("class=\"{class}\"")), "{class}");
    }
}

#[test]
fn text_is_escaped_and_marks_are_told_in_words() {
    let svg = chart().to_svg();
    assert!(svg.contains("<title id=\"title\">CPU &lt;busy&gt; &amp; &quot;idle&quot;</title>"));
    assert!(svg.contains("4 marked as unusual. 1 Jan 1970 00:10, low: odd."), "{svg}");
    assert!(svg.contains("prefers-color-scheme:dark"));
}

#[test]
fn a_severity_has_a_shape_of_its_own() {
    let svg = chart().to_svg();
    let mut shapes: Vec<&str> =
        svg.split("class=\"mark ").skip(1).filter_map(|rest| rest.split(" d=").nth(1)).collect();
    shapes.iter_mut().for_each(|shape| *shape = shape.split('>').next().unwrap());
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), 4);
}

#[test]
fn nothing_and_the_oddest_numbers_make_a_picture_without_nan() {
    let odd = [f64::NAN, f64::MAX, f64::MIN, 0.0, f64::INFINITY, 5e-324];
    let values = odd.iter().enumerate().map(|(i, value)| (i as i64 * (i64::MAX / 8), *value)).collect();
    for chart in [Chart::default(), Chart { values, limit: Some(f64::MAX), ..Chart::default() }] {
        let svg = chart.to_svg();
        assert!(svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
