//! The numbers of the published implementation, case by case and layer by layer.

use super::attention::Call;
use super::network::Memory;
use super::scaler::Scaled;
use super::*;
use ndarray::Array2;
use serde_json::json;
use std::path::PathBuf;

fn read(file: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/toto-random").join(file)).unwrap()
}

fn about() -> About {
    About { name: "fixture".to_owned(), source: "tests".to_owned(), licence: None }
}

fn fixture() -> (Toto, Value) {
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    let model = Toto::new(&config, &Weights::new(&read("model.safetensors")).unwrap(), about()).unwrap();
    (model, serde_json::from_slice(&read("cases.json")).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap_or(f64::NAN)],
    }
}

/// The wanted values of one series, level by level.
fn wanted(case: &Value, series: usize, together: bool) -> Vec<f64> {
    let levels = case["quantiles"].as_array().unwrap();
    levels.iter().flat_map(|level| numbers(if together { &level[series] } else { level })).collect()
}

#[test]
fn every_case_of_the_published_implementation_is_met() {
    let (model, cases) = fixture();
    let listed = cases["cases"].as_array().unwrap();
    assert_eq!(listed.len(), 33);
    for case in listed {
        let name = case["name"].as_str().unwrap();
        let together = case.get("series_ids").is_some();
        let inputs: Vec<Vec<f64>> = match together {
            true => case["input"].as_array().unwrap().iter().map(numbers).collect(),
            false => vec![numbers(&case["input"])],
        };
        let ids: Vec<i32> = match together {
            true => numbers(&case["series_ids"]).into_iter().map(|id| id as i32).collect(),
            false => vec![0],
        };
        let histories: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
        let flags = &case["flags"];
        let flags = Flags {
            block: flags["decode_block_size"].as_u64().map(|points| points as usize / model.config.patch),
            fallback_below: flags["scaler_fallback_min_obs"].as_u64().unwrap() as usize,
            cap: flags["quantile_real_cap_k"].as_f64().unwrap(),
            hide_missing: flags["has_missing_values"].as_bool().unwrap(),
        };
        let group = Group { histories: &histories, ids: &ids, context: 512 };
        let horizon = case["horizon"].as_u64().unwrap() as usize;
        let found = model.decode(&group, horizon, flags);
        let (locations, scales) = (numbers(&case["loc_last"]), numbers(&case["scale_last"]));
        for (series, found) in found.iter().enumerate() {
            let wanted = wanted(case, series, together);
            let found: Vec<f64> = (0..LEVELS.len()).flat_map(|level| found.of_level(level).to_vec()).collect();
            assert_eq!(found.len(), wanted.len(), "{name}");
            let apart = found.iter().zip(&wanted).map(|(found, wanted)| (found - wanted).abs());
            let worst = apart.fold(0.0, f64::max);
            let allowed = 1e-4 * scales[series] + 2.4e-7 * locations[series].abs();
            assert!(worst <= allowed, "{name}, series {series}: {worst:e} instead of {allowed:e}");
        }
    }
}

#[test]
fn what_stands_between_the_layers_is_met() {
    let (model, cases) = fixture();
    let between = &cases["intermediate"];
    let case = cases["cases"].as_array().unwrap().iter().find(|case| case["name"] == between["case"]).unwrap();
    let scaled = Scaled::new(&numbers(&case["input"]), 512, 32, 0);
    let mut features = Array2::zeros((4, 64));
    features.slice_mut(ndarray::s![2.., 32..]).fill(1.0);
    for patch in 0..2 {
        scaled.features(patch, features.row_mut(patch).as_slice_mut().unwrap());
    }
    let close = |what: &str, found: &Array2<f32>, wanted: &Value| {
        let wanted = numbers(wanted);
        assert_eq!(found.len(), wanted.len(), "{what}");
        let worst = found.iter().zip(&wanted).map(|(found, wanted)| (f64::from(*found) - wanted).abs());
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 1e-4, "{what}: {worst:e}");
    };
    close("features", &features, &between["patch_inputs"]);
    let ids = vec![vec![0; 4]];
    let call = Call { start: 0, length: 4, ids: &ids, hide_missing: true };
    let tokens = model.network.run(features.view(), &call, 2, &mut Memory::default());
    close("last norm", &tokens, &between["out_norm"]);
}

#[test]
fn a_configuration_that_is_not_read_is_refused() {
    let bytes = read("model.safetensors");
    let weights = Weights::new(&bytes).unwrap();
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    for (key, value, named) in [
        ("num_groups", json!(2), "num_groups"),
        ("v_dim", json!(8), "v_dim"),
        ("qk_norm", json!(true), "qk_norm"),
        ("qk_dim", json!(15), "v_dim"),
        ("num_layers", json!(5), "transformer.layers.4"),
        ("d_ff", json!(177), "[354, 64]"),
        ("attn_bias", json!(7), "attn_bias is 7"),
    ] {
        let mut config = config.clone();
        config[key] = value;
        let error = Toto::new(&config, &weights, about()).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(named)), "{key}: {error:?}");
    }
}

#[test]
fn neither_level_nor_unit_of_a_history_changes_its_forecast() {
    let (model, _) = fixture();
    let history: Vec<f64> = (0..200).map(|at| f64::from(at % 24) + f64::from(at % 7)).collect();
    let plain = model.forecast(&[&history], 64).unwrap().remove(0);
    for (factor, offset) in [(1e-12, 0.0), (1e12, 0.0), (4.0, 1e6), (1e300, 0.0)] {
        let moved: Vec<f64> = history.iter().map(|value| value * factor + offset).collect();
        let found = model.forecast(&[&moved], 64).unwrap().remove(0);
        for step in 0..64 {
            let back = (found.at(0.5, step) - offset) / factor;
            let apart = (back - plain.at(0.5, step)).abs();
            assert!(apart < 0.02, "times {factor} plus {offset}: {apart}");
        }
    }
}

#[test]
fn a_history_shorter_than_a_patch_stays_at_its_level() {
    let (model, _) = fixture();
    let found = model.forecast(&[&[1e6, 1e6 + 1.0, 1e6]], 5).unwrap().remove(0);
    assert!((found.at(0.5, 0) - 1e6).abs() < 10.0, "{found:?}");
}
