//! Writes files of ONNX for tests: just enough of the format.

/// A message under construction.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn number(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(crate) fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A tensor of floats.
pub(crate) fn weights(name: &str, shape: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = shape.iter().fold(Message::default(), |message, one| message.number(1, *one));
    shape.number(2, 1).text(8, name).bytes(9, &raw)
}

/// A tensor of whole numbers.
pub(crate) fn places(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Message::default().number(1, values.len() as i64).number(2, 7).text(8, name).bytes(9, &raw)
}

/// A node without attributes.
pub(crate) fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let named = inputs.iter().fold(Message::default(), |message, name| message.text(1, name));
    outputs.iter().fold(named, |message, name| message.text(2, name)).text(4, operator)
}

/// An attribute that is a whole number.
pub(crate) fn setting(name: &str, value: i64) -> Message {
    Message::default().text(1, name).number(3, value).number(20, 2)
}

/// An input or output of floats; 0 stands for any size.
pub(crate) fn port(name: &str, shape: &[i64]) -> Message {
    let size = |one: &i64| match one {
        0 => Message::default().text(2, "N"),
        known => Message::default().number(1, *known),
    };
    let shape = shape.iter().fold(Message::default(), |message, one| message.message(1, size(one)));
    let tensor = Message::default().number(1, 1).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

/// A file with these parts of a graph, by their field.
pub(crate) fn file(parts: Vec<(u64, Message)>) -> Vec<u8> {
    let graph = parts.into_iter().fold(Message::default(), |graph, (field, part)| graph.message(field, part));
    let version = Message::default().number(2, 13);
    Message::default().number(1, 7).text(2, "sample").message(7, graph).message(8, version).done()
}

/// An autoencoder of windows of four values through one of two: its output is the mean square error.
pub(crate) fn autoencoder() -> Vec<u8> {
    file(vec![
        (1, node("Reshape", &["input", "flat"], &["row"])),
        (1, node("MatMul", &["row", "down"], &["latent"])),
        (1, node("Relu", &["latent"], &["positive"])),
        (1, node("MatMul", &["positive", "up"], &["back"])),
        (1, node("Sub", &["row", "back"], &["off"])),
        (1, node("Mul", &["off", "off"], &["square"])),
        (1, node("ReduceMean", &["square"], &["reconstruction_error"]).message(5, setting("keepdims", 0))),
        (5, places("flat", &[1, 4])),
        (5, weights("down", &[4, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])),
        (5, weights("up", &[2, 4], &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])),
        (11, port("input", &[1, 4, 1])),
        (12, port("reconstruction_error", &[])),
    ])
}
