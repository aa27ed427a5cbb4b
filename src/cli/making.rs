//! The flags that say how PGD makes adversarial images.

use synfilter::attack::StepSize;
use synfilter::attack::{DEFAULT_STEPS, Method, MethodName, Pgd};
use synfilter::{Error, Result};

/// How projected gradient descent goes.
#[derive(clap::Args, Clone, Debug)]
pub struct Descent {
    /// Steps of PGD; 10 if left out.
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    steps: Option<u32>,
    /// Size of each step of PGD in pixel units, as 2/255 or 0.01; 2.5·ε/steps if left out, which is 2/255 for 10 steps of
    /// ε = 8/255.
    #[arg(long, value_name = "A", allow_hyphen_values = true)]
    step_size: Option<StepSize>,
    /// Start PGD at the image plus uniform noise in ±ε, in the place of the image itself.
    #[arg(long)]
    random_start: bool,
}

impl Descent {
    /// PGD with these settings; `seed` is that of a random start.
    ///
    /// # Errors
    /// Those of [`Pgd::check`].
    pub fn pgd(&self, seed: u64) -> Result<Pgd> {
        let steps = self.steps.unwrap_or(DEFAULT_STEPS);
        let step_size = self.step_size.map(|size| size.0);
        let pgd = Pgd { steps, step_size, seed: self.random_start.then_some(seed) };
        pgd.check().map(|()| pgd)
    }

    /// The method of that name, with these settings.
    ///
    /// # Errors
    /// As [`Descent::pgd`]; a usage error for settings of PGD beside FGSM.
    pub fn method(&self, name: MethodName, seed: u64) -> Result<Method> {
        match name {
            MethodName::Pgd => self.pgd(seed).map(Method::Pgd),
            MethodName::Fgsm => self.refuse_without_pgd().map(|()| Method::Fgsm),
        }
    }

    /// Whether nothing is said of PGD.
    ///
    /// # Errors
    /// A usage error that names the flag.
    pub fn refuse_without_pgd(&self) -> Result<()> {
        let given = [
            ("--steps", self.steps.is_some()),
            ("--step-size", self.step_size.is_some()),
            ("--random-start", self.random_start),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(Error::usage(format!("{flag}: expected --method pgd beside it, found fgsm")))
            }
            None => Ok(()),
        }
    }

    /// Whether it starts at random.
    pub fn random_start(&self) -> bool {
        self.random_start
    }
}
