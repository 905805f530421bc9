//! The numbers of the published implementation, case by case and layer by layer.

use super::*;
use ndarray::Array2;
use serde_json::json;
use std::path::PathBuf;

fn read(file: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/timesfm-random").join(file)).unwrap()
}

fn about() -> About {
    About { name: "fixture".to_owned(), source: "tests".to_owned(), licence: None }
}

fn fixture() -> (TimesFm, Value) {
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    let model = TimesFm::new(Some(&config), &Weights::new(&read("model.safetensors")).unwrap(), about()).unwrap();
    (model, serde_json::from_slice(&read("cases.json")).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap_or(f64::NAN)],
    }
}

#[test]
fn every_case_of_the_published_implementation_is_met() {
    let (model, cases) = fixture();
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 32);
    for case in cases {
        let flag = |name: &str| case["flags"][name].as_bool().unwrap();
        let flags = Flags {
            normalize_inputs: flag("normalize_inputs"),
            continuous_quantile_head: flag("use_continuous_quantile_head"),
            flip_invariance: flag("force_flip_invariance"),
            infer_is_positive: flag("infer_is_positive"),
            fix_quantile_crossing: flag("fix_quantile_crossing"),
        };
        let input = numbers(&case["input"]);
        let (context, horizon) = (case["max_context"].as_u64().unwrap(), case["horizon"].as_u64().unwrap());
        let found = model.columns(&input, context as usize, horizon as usize, flags);
        let wanted = numbers(&case["quantiles_step_then_10"]);
        assert_eq!(found.len() * COLUMNS, wanted.len());
        let there: Vec<f64> = input.iter().copied().filter(|value| value.is_finite()).collect();
        let mean = there.iter().sum::<f64>() / there.len() as f64;
        let deviation = (there.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / there.len() as f64).sqrt();
        let largest = there.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let allowed = 1e-4 * deviation + 1e-6 * largest;
        let apart = found.iter().flatten().zip(&wanted).map(|(found, wanted)| (found - wanted).abs());
        let worst = apart.fold(0.0, f64::max);
        assert!(worst <= allowed, "{}: {worst:e} instead of {allowed:e}", case["name"]);
    }
}

#[test]
fn what_stands_between_the_layers_is_met() {
    let (model, cases) = fixture();
    let between = &cases["intermediate"];
    let case = cases["cases"].as_array().unwrap().iter().find(|case| case["name"] == "short_37/plain/h64").unwrap();
    let (features, _) = model.features(&numbers(&case["input"]));
    // The fixture is padded by one whole patch more, which is left out here.
    let close = |what: &str, found: &Array2<f32>, wanted: &Value, skip: usize| {
        let wanted = &numbers(wanted)[skip * found.ncols()..];
        assert_eq!(found.len(), wanted.len(), "{what}");
        let worst = found.iter().zip(wanted).map(|(found, wanted)| (f64::from(*found) - wanted).abs());
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 1e-4, "{what}: {worst:e}");
    };
    close("features", &features, &between["tokenizer_input"], 1);
    close("blocks", &model.network.transform(&features), &between["block_1"], 1);
    let point = model.network.run(&features).point;
    close("point head", &point, &between["point_head_normalised_last_patch"], 0);
}

#[test]
fn the_constants_of_the_published_code_stand_in_for_a_missing_configuration() {
    let bytes = read("model.safetensors");
    let error = TimesFm::new(None, &Weights::new(&bytes).unwrap(), about()).err().unwrap().to_string();
    assert!(error.contains("tokenizer.hidden_layer.weight is of shape [64, 64] instead of [1280, 64]"), "{error}");
}

#[test]
fn a_configuration_that_is_not_read_is_refused() {
    let bytes = read("model.safetensors");
    let weights = Weights::new(&bytes).unwrap();
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    for (key, value) in [("decode_index", json!(4)), ("num_heads", json!(3)), ("output_patch_len", json!(100))] {
        let mut config = config.clone();
        config[key] = value;
        let error = TimesFm::new(Some(&config), &weights, about()).err().unwrap().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn forecasts_are_ordered_and_keep_the_sign_of_a_count() {
    let (model, _) = fixture();
    let counts: Vec<f64> = (0..300).map(|at| f64::from(at % 5)).collect();
    let found = model.forecast(&[&counts, &[3.0]], 150).unwrap();
    for quantiles in &found {
        for step in 0..150 {
            let column: Vec<f64> = (0..9).map(|level| quantiles.of_level(level)[step]).collect();
            assert!(column.is_sorted() && column[0] >= 0.0, "{column:?}");
        }
    }
    assert!((found[1].at(0.5, 0) - 3.0).abs() < 1.0);
}
