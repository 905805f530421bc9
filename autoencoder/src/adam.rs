//! Adam (Kingma and Ba, ICLR 2015) with the constants of its authors, and gradients held to a length of one, without
//! which networks of this kind now and then leap away.

const FIRST: f32 = 0.9;
const SECOND: f32 = 0.999;
const EPSILON: f32 = 1e-7;

/// What is remembered of earlier gradients.
#[derive(Debug)]
pub(crate) struct Adam {
    rate: f32,
    moments: Vec<(Vec<f32>, Vec<f32>)>,
    steps: i32,
}

impl Adam {
    pub(crate) fn new(rate: f32) -> Self {
        Self { rate, moments: Vec::new(), steps: 0 }
    }

    /// Moves parameters against their gradients, which stand in the same order.
    pub(crate) fn step(&mut self, parameters: Vec<&mut [f32]>, gradients: &[Vec<f32>]) {
        if self.moments.is_empty() {
            self.moments = gradients.iter().map(|one| (vec![0.0; one.len()], vec![0.0; one.len()])).collect();
        }
        self.steps += 1;
        let length = gradients.iter().flatten().map(|value| value * value).sum::<f32>().sqrt();
        let shorten = if length > 1.0 { 1.0 / length } else { 1.0 };
        let rate = self.rate * (1.0 - SECOND.powi(self.steps)).sqrt() / (1.0 - FIRST.powi(self.steps));
        for ((parameters, gradients), (first, second)) in parameters.into_iter().zip(gradients).zip(&mut self.moments) {
            for at in 0..parameters.len() {
                let gradient = gradients[at] * shorten;
                first[at] += (1.0 - FIRST) * (gradient - first[at]);
                second[at] += (1.0 - SECOND) * (gradient * gradient - second[at]);
                parameters[at] -= rate * first[at] / (second[at].sqrt() + EPSILON);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f32 = 1e-3;

    /// The first step of Adam has the length of its rate, whatever the gradient.
    #[test]
    fn the_first_step_is_as_long_as_the_rate() {
        let mut parameters = [1.0f32, 1.0];
        Adam::new(RATE).step(vec![&mut parameters], &[vec![30.0, -0.4]]);
        assert!((parameters[0] - (1.0 - RATE)).abs() < 1e-6 && (parameters[1] - (1.0 + RATE)).abs() < 1e-4);
    }

    #[test]
    fn it_finds_the_bottom_of_a_bowl() {
        let mut at = [3.0f32, -2.0];
        let mut adam = Adam::new(RATE);
        for _ in 0..8000 {
            let gradients = vec![vec![2.0 * at[0], 8.0 * at[1]]];
            adam.step(vec![&mut at], &gradients);
        }
        assert!(at.iter().all(|value| value.abs() < 1e-2), "{at:?}");
    }
}
