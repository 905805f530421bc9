//! Whole files: read, run, refused, and damaged in every way.

use crate::sample::{Message, autoencoder, file, node, places, port, weights};
use crate::{Model, OnnxError, Tensor};

fn error_of(model: &Model, values: [f32; 4]) -> Result<f32, OnnxError> {
    let input = Tensor::floats(vec![1, 4, 1], values.to_vec()).unwrap();
    let outputs = model.run(&[("input", input)])?;
    Ok(outputs["reconstruction_error"].as_floats().unwrap()[0])
}

#[test]
fn an_autoencoder_says_what_it_takes_and_how_far_off_it_is() {
    let model = Model::read(&autoencoder()).unwrap();
    let [input] = model.inputs() else { panic!("{:?}", model.inputs()) };
    let shape: Vec<String> = input.shape.iter().flatten().map(|one| one.to_string()).collect();
    assert_eq!((input.name.as_str(), input.element, shape.join(" ")), ("input", "float32", "1 4 1".to_owned()));
    assert_eq!((model.outputs()[0].name.as_str(), model.parameters()), ("reconstruction_error", 16));
    assert_eq!((model.producer(), model.version(), model.operators()["MatMul"]), ("sample", 13, 2));
    // The first two are kept where they are not negative: 1, 2, 0, 0 is exact; the rest is off by itself.
    assert_eq!(error_of(&model, [1.0, 2.0, 0.0, 0.0]).unwrap(), 0.0);
    assert_eq!(error_of(&model, [-2.0, 0.0, 4.0, 0.0]).unwrap(), 5.0);
}

#[test]
fn what_goes_in_must_be_what_it_takes() {
    let model = Model::read(&autoencoder()).unwrap();
    let run = |name: &str, tensor: Option<Tensor>| model.run(&[(name, tensor.unwrap())]).unwrap_err().to_string();
    assert_eq!(
        run("input", Tensor::floats(vec![1, 5, 1], vec![0.0; 5])),
        "the input input takes [1, 4, 1], not [1, 5, 1]"
    );
    assert_eq!(run("input", Tensor::numbers(vec![1, 4, 1], vec![0; 4])), "the input input is of type float32");
    assert_eq!(run("x", Tensor::floats(vec![], vec![0.0])), "the input input is missing");
    assert!(Tensor::floats(vec![2, 2], vec![0.0; 3]).is_none());
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let refused = |parts: Vec<(u64, Message)>| Model::read(&file(parts)).unwrap_err().to_string();
    let ends = || vec![(11, port("x", &[1])), (12, port("y", &[1]))];
    let with = |node: Message| refused(std::iter::once((1, node)).chain(ends()).collect());
    assert_eq!(with(node("Loop", &["x"], &["y"])), "the operator Loop is not supported");
    assert_eq!(with(node("Relu", &["x"], &["y"]).text(7, "ai.other")), "the operator ai.other.Relu is not supported");
    assert_eq!(with(node("Relu", &["z"], &["y"])), "node y (Relu): its input z comes from nowhere before it");
    assert_eq!(with(node("Relu", &["x"], &["w"])), "its output y comes from nowhere");
    assert_eq!(refused(vec![]), "it has no input or no output");
    let short = weights("w", &[3], &[1.0]);
    assert_eq!(refused(vec![(5, short)]), "the tensor w has not as many values as its shape says");
    let huge = weights("w", &[1 << 40, 1 << 40], &[]);
    assert_eq!(refused(vec![(5, huge)]), "the tensor w has a shape that is none, or is too large");
    let zero = weights("w", &[0, 1 << 40, 1 << 40], &[]);
    assert!(refused(vec![(5, zero)]).contains("too large"));
    let elsewhere = Message::default().number(2, 1).text(8, "w").bytes(13, b"");
    assert!(refused(vec![(5, elsewhere)]).contains("another file"));
    assert!(Model::read(b"").unwrap_err().to_string().contains("no graph"));
    assert!(Model::read(b"PK\x03\x04 something else").is_err());
}

#[test]
fn what_would_take_too_much_is_refused_before_it_does() {
    let grown = |operator: &str, sizes: &[i64]| {
        let parts = vec![
            (1, node(operator, &["x", "sizes"], &["y"])),
            (5, places("sizes", sizes)),
            (11, port("x", &[1])),
            (12, port("y", &[0])),
        ];
        let model = Model::read(&file(parts)).unwrap();
        model.run(&[("x", Tensor::floats(vec![1], vec![1.0]).unwrap())]).unwrap_err().to_string()
    };
    assert!(grown("Expand", &[1 << 50]).contains("too large"));
    assert!(grown("Tile", &[i64::MAX]).contains("too large"));
    assert!(grown("Reshape", &[-1, -1]).contains("no shape"));
    // Products of products: each is small, all together are not.
    let mut parts = vec![(11, port("x", &[1])), (12, port("y400", &[0])), (5, places("wide", &[1000, 1000]))];
    parts.push((1, node("Expand", &["x", "wide"], &["y0"])));
    for at in 0..400 {
        parts.push((1, node("MatMul", &[&format!("y{at}"), "y0"], &[&format!("y{}", at + 1)])));
    }
    let model = Model::read(&file(parts)).unwrap();
    let error = model.run(&[("x", Tensor::floats(vec![1], vec![0.0]).unwrap())]).unwrap_err().to_string();
    assert!(error.contains("a run "), "{error}");
}

#[test]
fn no_cut_and_no_flipped_byte_makes_it_panic() {
    let whole = autoencoder();
    for end in 0..whole.len() {
        assert!(Model::read(&whole[..end]).is_err(), "cut after {end}");
    }
    for at in 0..whole.len() {
        for flip in [0x01, 0x08, 0x40, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            if let Ok(model) = Model::read(&bytes) {
                // Whatever it is now, it answers or says why not.
                drop(error_of(&model, [1.0, 2.0, 3.0, 4.0]));
            }
        }
    }
}

/// A line of a sample's text: name, shape and values.
fn line(text: &str) -> (String, Vec<usize>, Vec<f32>) {
    let (head, values) = text.split_once(" :").unwrap();
    let (name, shape) = head.split_once(' ').unwrap();
    let shape = shape.split(',').filter(|size| !size.is_empty()).map(|size| size.parse().unwrap()).collect();
    (name.to_owned(), shape, values.split_whitespace().map(|value| value.parse().unwrap()).collect())
}

#[test]
fn samples_give_what_the_reference_gave() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut compared = 0;
    for stem in ["dense", "lstm", "gru", "convolution", "operators", "normed"] {
        let model = Model::read(&std::fs::read(folder.join(stem).with_extension("onnx")).unwrap()).unwrap();
        let text = std::fs::read_to_string(folder.join(stem).with_extension("txt")).unwrap();
        let mut lines = text.lines().map(line);
        let (_, shape, values) = lines.next().unwrap();
        let found = model.run(&[("input", Tensor::floats(shape, values).unwrap())]).unwrap();
        for (name, shape, wanted) in lines {
            let tensor = &found[&name];
            assert_eq!(tensor.shape(), shape, "{stem} {name}");
            for (found, wanted) in tensor.as_floats().unwrap().iter().zip(&wanted) {
                let apart = (found - wanted).abs();
                assert!(apart <= 1e-5 * wanted.abs().max(1.0), "{stem} {name}: {found} instead of {wanted}");
            }
            compared += wanted.len();
        }
    }
    assert!(compared > 1000, "{compared}");
}
