//! Small symmetric matrices: covariance, eigenvectors, inverse. For at most [`super::CHANNELS_MAX`] channels, on plain slices.

/// Sweeps of Jacobi rotations; a 64 by 64 matrix settles in about ten.
const SWEEPS_MAX: usize = 40;

/// A symmetric matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Symmetric {
    size: usize,
    cells: Vec<f64>,
}

/// Eigenvalues by falling size, each with its unit vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigen {
    /// The eigenvalues, the largest first.
    pub values: Vec<f64>,
    /// `vectors[k]` belongs to `values[k]`.
    pub vectors: Vec<Vec<f64>>,
}

impl Symmetric {
    /// All zero.
    pub fn zero(size: usize) -> Self {
        Self {
            size,
            cells: vec![0.0; size * size],
        }
    }

    /// Covariance of rows about their mean, and that mean.
    pub fn covariance<'a>(size: usize, rows: impl Iterator<Item = &'a [f64]> + Clone) -> (Self, Vec<f64>) {
        let mut mean = vec![0.0; size];
        let mut count = 0.0;
        for row in rows.clone() {
            count += 1.0;
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += value;
            }
        }
        let count = f64::max(count, 1.0);
        for sum in &mut mean {
            *sum /= count;
        }
        let mut found = Self::zero(size);
        let mut off = vec![0.0; size];
        for row in rows {
            for ((off, value), mean) in off.iter_mut().zip(row).zip(&mean) {
                *off = value - mean;
            }
            for (i, here) in off.iter().enumerate() {
                for (cell, there) in found.cells[i * size..=i * size + i].iter_mut().zip(&off) {
                    *cell += here * there;
                }
            }
        }
        for i in 0..size {
            for j in 0..=i {
                let value = found.cells[i * size + j] / count;
                found.cells[i * size + j] = value;
                found.cells[j * size + i] = value;
            }
        }
        (found, mean)
    }

    /// One cell.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.size + column]
    }

    /// Sets a cell and its mirror image.
    pub fn set(&mut self, row: usize, column: usize, value: f64) {
        self.cells[row * self.size + column] = value;
        self.cells[column * self.size + row] = value;
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks_exact(self.size.max(1))
    }

    /// Eigenvalues and vectors, by cyclic Jacobi rotations.
    pub fn eigen(&self) -> Eigen {
        let n = self.size;
        let mut a = self.cells.clone();
        let mut v = Self::zero(n).cells;
        for i in 0..n {
            v[i * n + i] = 1.0;
        }
        for _ in 0..SWEEPS_MAX {
            let diagonal: f64 = (0..n).map(|i| a[i * n + i].powi(2)).sum();
            let rest: f64 = (0..n)
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| a[i * n + j].powi(2))
                .sum();
            if rest <= 1e-22 * diagonal {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    rotate(&mut a, &mut v, n, p, q);
                }
            }
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|x, y| a[y * n + y].total_cmp(&a[x * n + x]));
        Eigen {
            values: order.iter().map(|k| a[k * n + k]).collect(),
            vectors: order
                .iter()
                .map(|k| (0..n).map(|row| v[row * n + k]).collect())
                .collect(),
        }
    }

    /// The inverse of a positive definite matrix, by Cholesky. `None` if it is not one.
    pub fn inverse(&self) -> Option<Self> {
        let n = self.size;
        let mut lower = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let sum: f64 = (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum();
                let rest = self.at(i, j) - sum;
                lower[i * n + j] = if i == j {
                    if rest.is_nan() || rest <= 0.0 {
                        return None;
                    }
                    rest.sqrt()
                } else {
                    rest / lower[j * n + j]
                };
            }
        }
        let mut found = Self::zero(n);
        for column in 0..n {
            let mut x = vec![0.0; n];
            for i in column..n {
                let sum: f64 = (column..i).map(|k| lower[i * n + k] * x[k]).sum();
                x[i] = (f64::from(u8::from(i == column)) - sum) / lower[i * n + i];
            }
            for i in (0..n).rev() {
                let sum: f64 = (i + 1..n).map(|k| lower[k * n + i] * x[k]).sum();
                x[i] = (x[i] - sum) / lower[i * n + i];
            }
            for (i, value) in x.into_iter().enumerate() {
                found.cells[i * n + column] = value;
            }
        }
        Some(found)
    }
}

/// One Jacobi rotation that makes cell (p, q) zero.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], size: usize, p: usize, q: usize) {
    let off = matrix[p * size + q];
    if off == 0.0 {
        return;
    }
    let theta = (matrix[q * size + q] - matrix[p * size + p]) / (2.0 * off);
    let sign = if theta < 0.0 { -1.0 } else { 1.0 };
    let tangent = sign / (theta.abs() + theta.mul_add(theta, 1.0).sqrt());
    let cosine = 1.0 / tangent.mul_add(tangent, 1.0).sqrt();
    let sine = tangent * cosine;
    let turn = |one: f64, other: f64| (cosine * one - sine * other, sine * one + cosine * other);
    for cells in [&mut *matrix, vectors] {
        for row in cells.chunks_exact_mut(size) {
            (row[p], row[q]) = turn(row[p], row[q]);
        }
    }
    for column in 0..size {
        let (one, other) = turn(matrix[p * size + column], matrix[q * size + column]);
        matrix[p * size + column] = one;
        matrix[q * size + column] = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Symmetric {
        let rows = [
            [1.0, 2.0, 0.5],
            [2.0, 3.9, -1.0],
            [-1.0, -2.2, 0.3],
            [0.0, 0.1, 2.0],
            [3.0, 6.0, 1.0],
        ];
        let mut found = Symmetric::covariance(3, rows.iter().map(|row| &row[..])).0;
        for i in 0..3 {
            found.set(i, i, found.at(i, i) + 0.01);
        }
        found
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let matrix = sample();
        let eigen = matrix.eigen();
        assert!(eigen.values.is_sorted_by(|a, b| a >= b));
        for i in 0..3 {
            for j in 0..3 {
                let built: f64 = (0..3)
                    .map(|k| eigen.values[k] * eigen.vectors[k][i] * eigen.vectors[k][j])
                    .sum();
                assert!((built - matrix.at(i, j)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_inverse_undoes_the_matrix() {
        let matrix = sample();
        let inverse = matrix.inverse().unwrap();
        for i in 0..3 {
            for j in 0..3 {
                let cell: f64 = (0..3).map(|k| matrix.at(i, k) * inverse.at(k, j)).sum();
                assert!((cell - f64::from(u8::from(i == j))).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn what_has_no_inverse_says_so() {
        assert_eq!(Symmetric::zero(2).inverse(), None);
        let mut indefinite = Symmetric::zero(2);
        indefinite.set(0, 1, 1.0);
        assert_eq!(indefinite.inverse(), None);
    }
}
