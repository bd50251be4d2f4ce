//! Networks in models: what is refused, and, where the program can run them, what they tell.

use super::network::{Network, NetworkError};
use super::tests::{model, pumps};
use super::*;

#[cfg(not(feature = "onnx"))]
#[test]
fn a_program_without_networks_refuses_a_model_that_holds_one() {
    let mut model = model();
    assert_eq!(Network::fit(&[8, 7], 4, &model, &pumps(1)), Err(NetworkError::Without));
    model.network = Some(Network {
        signals: vec!["flow".to_owned()],
        window: 4,
        limit: 1.0,
        onnx: "CAc=".to_owned(),
    });
    let error = Model::read(&model.text()).unwrap_err();
    assert_eq!(error, ModelError::Network(NetworkError::Without));
    assert!(error.to_string().contains("--features onnx"), "{error}");
}

#[cfg(feature = "onnx")]
mod with {
    use std::sync::Arc;

    use super::*;
    use crate::detect::{Detection, Sequential, Settings};
    use crate::model::symptom::Finding;
    use crate::model::{Batch, Catalog, Sample, Topology};

    /// A field of a protocol buffer that holds bytes, and one that holds a number.
    fn bytes(number: u8, inside: &[u8]) -> Vec<u8> {
        let length = u8::try_from(inside.len()).unwrap();
        let length = if length < 128 {
            vec![length]
        } else {
            vec![length | 128, 1]
        };
        [&[number << 3 | 2][..], &length, inside].concat()
    }

    fn whole(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    /// The ONNX file of a chain of operators with one input `x` and one output of any shape.
    fn onnx(operators: &[(&str, &[&str])]) -> Vec<u8> {
        let mut graph = Vec::new();
        for (n, (operator, inputs)) in operators.iter().enumerate() {
            let mut node = Vec::new();
            for input in *inputs {
                node.extend(bytes(1, input.as_bytes()));
            }
            node.extend(bytes(2, format!("y{n}").as_bytes()));
            node.extend(bytes(4, operator.as_bytes()));
            graph.extend(bytes(1, &node));
        }
        graph.extend(bytes(2, b"g"));
        let float = bytes(1, &whole(1, 1));
        let named = |name: &str| [bytes(1, name.as_bytes()), bytes(2, &float)].concat();
        graph.extend(bytes(11, &named("x")));
        graph.extend(bytes(12, &named(&format!("y{}", operators.len() - 1))));
        [whole(1, 7), bytes(7, &graph), bytes(8, &whole(2, 11))].concat()
    }

    /// The mean of all squares: one number of a window.
    fn squares() -> Vec<u8> {
        onnx(&[("Mul", &["x", "x"]), ("ReduceMean", &["y0"])])
    }

    fn with(network: &[u8], window: usize) -> Result<Model, NetworkError> {
        let mut model = model();
        let network = Network::fit(network, window, &model, &pumps(3))?;
        model.network = Some(network);
        Ok(Model::read(&model.text()).unwrap())
    }

    /// What the network says of these rows of `pump-9`, a minute apart.
    fn said(model: Model, rows: impl Iterator<Item = [f64; 3]>) -> Vec<String> {
        let settings = Settings {
            models: Arc::new(Models::of(vec![model]).unwrap()),
            ..Settings::default()
        };
        let catalog = Catalog::new();
        let mut detection = Detection::new(&settings, catalog.clone(), 1).unwrap();
        let mut told = Vec::new();
        for (n, row) in rows.enumerate() {
            let at = Timestamp::from_secs(1_700_000_000 + i64::try_from(n).unwrap() * 60);
            let samples = ["power", "flow", "mode"].iter().zip(row);
            let samples = samples.map(|(signal, value)| Sample {
                series: catalog.series("pump-9", signal),
                retained: false,
                at,
                seen: at,
                value,
            });
            detection.batch(Batch {
                samples: samples.collect(),
                events: Vec::new(),
            });
            for finding in detection.tick(at, &Topology::new(), &Sequential) {
                match finding {
                    Finding::Raised(symptom) if symptom.detector == "network:pump" => {
                        told.push(format!("{n} {}", symptom.evidence.text));
                    }
                    Finding::Cleared { key, .. } if key.signal.as_str().is_empty() => told.push(format!("{n} over")),
                    _ => {}
                }
            }
        }
        told
    }

    fn life(n: u32) -> [f64; 3] {
        let load = 50.0 + 10.0 * (f64::from(n % 1440) / 1440.0 * std::f64::consts::TAU).sin();
        [load, 2.0 * load, 1.0]
    }

    #[test]
    fn a_network_is_part_of_a_model_and_tells_when_rows_are_odd_and_when_they_are_not() {
        let model = with(&squares(), 4).unwrap();
        let rows = (0..400).map(|n| {
            if (200..240).contains(&n) {
                [400.0, 2.0, 1.0]
            } else {
                life(n)
            }
        });
        let told = said(model, rows);
        assert_eq!(told.len(), 2, "{told:?}");
        let first: u32 = told[0].split(' ').next().unwrap().parse().unwrap();
        assert!((202..210).contains(&first) && told[0].contains("'pump'"), "{told:?}");
        assert!(told[1].ends_with("over"), "{told:?}");
    }

    #[test]
    fn a_network_that_gives_back_a_window_is_judged_by_how_far_that_is_off() {
        // Near the centre it gives back what went in, further out it cannot.
        let model = with(&onnx(&[("Tanh", &["x"])]), 2).unwrap();
        let told = said(
            model,
            (0..60).map(|n| if n >= 40 { [400.0, 2.0, 1.0] } else { life(n) }),
        );
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        assert!(matches!(with(b"no network", 4), Err(NetworkError::Shape(_))));
        assert!(matches!(with(b"", 4), Err(NetworkError::Shape(_))));
        assert!(matches!(with(&squares(), 0), Err(NetworkError::Shape(_))));
        assert!(with(&squares(), 4096).is_ok(), "three days are long enough");
        let little = Network::fit(&squares(), 4, &model(), &[]);
        assert!(
            matches!(little, Err(NetworkError::TooLittle { found: 0, .. })),
            "{little:?}"
        );
        let mut damaged = with(&squares(), 4).unwrap();
        damaged.network.as_mut().unwrap().onnx = "****".to_owned();
        let error = Model::read(&damaged.text()).unwrap_err().to_string();
        assert!(error.contains("base64"), "{error}");
    }
}
