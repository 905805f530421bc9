//! The numbers of the published implementation, case by case and layer by layer.

use super::encoder::bucket;
use super::*;
use crate::load::from_bytes;
use serde_json::json;
use std::path::PathBuf;

struct Fixture {
    model: Bolt,
    cases: Value,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn about() -> About {
    About { name: "fixture".to_owned(), source: "tests".to_owned(), licence: None }
}

fn fixture(name: &str) -> Fixture {
    let read = |file: &str| std::fs::read(folder(name).join(file)).unwrap();
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    let bytes = read("model.safetensors");
    let model = Bolt::new(&config, &Weights::new(&bytes).unwrap(), about()).unwrap();
    Fixture { model, cases: serde_json::from_slice(&read("cases.json")).unwrap() }
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap_or(f64::NAN)],
    }
}

/// The largest difference in units of what is allowed for the case.
fn worst(found: &[f64], wanted: &[f64], allowed: f64) -> f64 {
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs() / allowed).fold(0.0, f64::max)
}

fn all_levels(quantiles: &Quantiles) -> Vec<f64> {
    (0..quantiles.levels().len()).flat_map(|level| quantiles.of_level(level).to_vec()).collect()
}

/// As the specification of the fixture allows; its loose cases are those whose reference lost digits in f32.
fn allowed(name: &str, location: f64, scale: f64) -> f64 {
    match name {
        "constant_0p1" => 1e-5,
        "large_offset_small_signal" => 0.5 * scale + 1e-6 * location.abs(),
        _ => 2e-5 * scale + 1e-6 * location.abs(),
    }
}

#[test]
fn every_case_of_the_published_implementation_is_met() {
    for name in ["tiny-random", "tiny-random-b"] {
        let fixture = fixture(name);
        let cases = fixture.cases["cases"].as_array().unwrap();
        assert!(cases.len() >= 20, "{name}: {} cases", cases.len());
        for case in cases {
            let title = case["name"].as_str().unwrap();
            if case.get("inputs").is_some() {
                mixed_batch(&fixture.model, case);
                continue;
            }
            let (input, wanted) = (numbers(&case["input"]), numbers(&case["quantiles"]));
            let horizon = case["horizon"].as_u64().unwrap() as usize;
            let prepared = patches(&input, &fixture.model.config);
            let found = match horizon <= fixture.model.config.steps {
                true => fixture.model.pass(&[&input]).remove(0).first(horizon),
                false => fixture.model.unrolled(&input, horizon),
            };
            let allowed = allowed(title, prepared.location, prepared.scale);
            let worst = worst(&all_levels(&found), &wanted, allowed);
            assert!(worst <= 1.0, "{name}, {title}: {worst} of what is allowed");
        }
    }
}

fn mixed_batch(model: &Bolt, case: &Value) {
    let inputs: Vec<Vec<f64>> = case["inputs"].as_array().unwrap().iter().map(numbers).collect();
    let histories: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
    let together = model.pass(&histories);
    for ((history, found), wanted) in histories.iter().zip(&together).zip(case["quantiles_batch"].as_array().unwrap()) {
        let prepared = patches(history, &model.config);
        let allowed = 2e-5 * prepared.scale + 1e-6 * prepared.location.abs();
        let worst = worst(&all_levels(found), &numbers(wanted), allowed);
        assert!(worst <= 1.0, "mixed batch: {worst} of what is allowed");
    }
}

#[test]
fn what_stands_between_the_layers_is_met() {
    for name in ["tiny-random", "tiny-random-b"] {
        let Fixture { model, cases } = fixture(name);
        let between = &cases["intermediate"];
        let input = cases["cases"].as_array().unwrap().iter().find(|case| case["name"] == between["case"]).unwrap();
        let prepared = patches(&numbers(&input["input"]), &model.config);
        let close = |what: &str, found: Vec<f32>, wanted: &Value| {
            let found: Vec<f64> = found.into_iter().map(f64::from).collect();
            let worst = worst(&found, &numbers(wanted), 1e-4);
            assert!(worst <= 1.0, "{name}, {what}: {worst} of what is allowed");
        };
        close("features", prepared.features.iter().copied().collect(), &between["patched_input"]);
        let count = prepared.count;
        let tokens = model.tokens(&[prepared]);
        close("embedding", tokens.values.slice(s![..count, ..]).iter().copied().collect(), &between["patch_embedding"]);
        let bias = model.encoder.bias_by_head(tokens.values.nrows());
        let bias = bias.iter().flat_map(|head| head.iter().copied()).collect();
        close("bias", bias, &between["encoder_position_bias_head_query_key"]);
        let encoded = model.encoder.encode(&tokens);
        close("encoder", encoded.iter().copied().collect(), &between["encoder_output"]);
        let decoded = model.decoder.decode(encoded.view(), &tokens);
        close("decoder", decoded.iter().copied().collect(), &between["decoder_output"]);
        let head = model.head.apply(decoded.view());
        close("head", head.iter().copied().collect(), &between["head_normalised_quantile_step"]);
    }
}

#[test]
fn distances_fall_into_the_buckets_of_the_published_table() {
    let table = fixture("tiny-random").cases["relative_buckets_row"]["values"].clone();
    let wanted: Vec<usize> = numbers(&table).into_iter().map(|bucket| bucket as usize).collect();
    let found: Vec<usize> = (-150..=150).map(|distance| bucket(distance, 32, 128)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_forecast_does_not_depend_on_what_else_is_in_the_batch() {
    let model = fixture("tiny-random").model;
    let series: Vec<Vec<f64>> = (0..40)
        .map(|seed| (0..17 + 31 * (seed % 9)).map(|at| f64::from(at * (seed + 3)).sin() * 9.0 + 50.0).collect())
        .collect();
    let histories: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
    let together = model.forecast(&histories, 20).unwrap();
    for (history, together) in histories.iter().zip(&together) {
        let alone = model.forecast(&[history], 20).unwrap().remove(0);
        assert!(worst(&all_levels(together), &all_levels(&alone), 1e-4) <= 1.0);
    }
}

#[test]
fn the_unit_of_a_history_is_the_unit_of_its_forecast() {
    let model = fixture("tiny-random").model;
    let history: Vec<f64> = (0..200).map(|at| f64::from(at % 24) + f64::from(at % 7)).collect();
    let plain = model.forecast(&[&history], 64).unwrap().remove(0);
    for (factor, offset) in [(1e-30, 0.0), (1e30, 0.0), (3.0, -1000.0), (1e300, 0.0)] {
        let moved: Vec<f64> = history.iter().map(|value| value * factor + offset).collect();
        let found = model.forecast(&[&moved], 64).unwrap().remove(0);
        let back: Vec<f64> = all_levels(&found).into_iter().map(|value| (value - offset) / factor).collect();
        let worst = worst(&back, &all_levels(&plain), 1e-3);
        assert!(worst <= 1.0, "times {factor} plus {offset}: {worst}");
    }
}

#[test]
fn what_cannot_be_forecast_is_refused() {
    let model = fixture("tiny-random").model;
    let refused = |history: &[f64], horizon: usize| model.forecast(&[&[1.0], history], horizon).unwrap_err();
    assert_eq!(refused(&[], 5), ForecastError::Empty { index: 1 });
    assert_eq!(refused(&[f64::NAN, f64::INFINITY], 5), ForecastError::Empty { index: 1 });
    assert_eq!(refused(&[1.0], 0), ForecastError::Horizon { horizon: 0 });
    assert_eq!(refused(&[1.0], 1_000_000), ForecastError::Horizon { horizon: 1_000_000 });
    let constant = model.forecast(&[&[7.25]], 3).unwrap().remove(0);
    assert!((constant.at(0.5, 0) - 7.25).abs() < 1e-3);
    let infinite = model.forecast(&[&[1.0, f64::INFINITY, 2.0, 1.0]], 3).unwrap().remove(0);
    assert!(infinite.are_finite());
}

#[test]
fn a_configuration_that_does_not_fit_the_tensors_names_the_first_one() {
    let read = |file: &str| std::fs::read(folder("tiny-random").join(file)).unwrap();
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    let bytes = read("model.safetensors");
    let error = |key: &str, value: Value| {
        let mut config = config.clone();
        match config.get(key).is_some() {
            true => config[key] = value,
            false => config["chronos_config"][key] = value,
        }
        let text = config.to_string();
        match from_bytes(Some(&text), &bytes, about()) {
            Ok(_) => panic!("{key} was taken"),
            Err(error) => error.to_string(),
        }
    };
    assert!(error("num_layers", json!(3)).contains("encoder.block.2.layer.0.SelfAttention.q.weight"));
    assert!(error("d_ff", json!(129)).contains("[128, 64] instead of [129, 64]"));
    assert!(error("feed_forward_proj", json!("gated-gelu")).contains("gated-gelu"));
    assert!(error("input_patch_stride", json!(8)).contains("input_patch_stride 8"));
    assert!(error("quantiles", json!([0.5, 0.1])).contains("ascending"));
    assert!(error("d_model", json!(1u64 << 40)).contains("d_model"));
}
