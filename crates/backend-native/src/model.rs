//! The compiled model.

use std::sync::Arc;

use image_embedder_backend::{BackendError, Model, Session, TensorSpec};

use crate::graph::Graph;
use crate::plan::{Plan, Target};
use crate::session::NativeSession;
use crate::threads::Pool;

/// A graph with the plan for its own input shapes.
#[derive(Debug)]
pub(crate) struct NativeModel {
    graph: Arc<Graph>,
    target: Target,
    plan: Arc<Plan>,
    pool: Arc<Pool>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl NativeModel {
    pub(crate) fn new(graph: Graph, target: Target, threads: usize) -> Result<Self, BackendError> {
        let plan = Plan::declared(&graph, target)?;
        let specs = |ports: &[crate::plan::Port]| {
            ports.iter().map(|port| port.spec.clone()).collect::<Vec<_>>()
        };
        Ok(Self {
            inputs: specs(&plan.inputs),
            outputs: specs(&plan.outputs),
            graph: Arc::new(graph),
            target,
            plan: Arc::new(plan),
            pool: Arc::new(Pool::new(threads)),
        })
    }
}

impl NativeModel {
    /// The threads of a run that is alone; one until there is a session that more are worth it for.
    pub(crate) fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// A session of its own type.
    pub(crate) fn native_session(&self) -> NativeSession {
        let (graph, plan) = (self.graph.clone(), self.plan.clone());
        NativeSession::new(graph, plan, self.target, self.pool.clone())
    }
}

impl Model for NativeModel {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn session(&self) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(self.native_session()))
    }
}
