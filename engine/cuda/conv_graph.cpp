#include "engine/cuda/conv_graph.h"

#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include "engine/cuda/dnn.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // where it looks up cuDNN's functions
}

namespace engine::cuda {
namespace {

namespace fe = cudnn_frontend;
using Operand = std::shared_ptr<fe::graph::Tensor_attributes>;

// Also the order in which execute() takes the addresses.
enum Uid : int64_t { x_uid = 1, w_uid, y_uid, bias_uid, residual_uid };

constexpr int64_t most_workspace = int64_t{1} << 30;  // bytes

fe::DataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return fe::DataType_t::FLOAT;
    case DType::bf16: return fe::DataType_t::BFLOAT16;
    case DType::f16: return fe::DataType_t::HALF;
    case DType::f64: return fe::DataType_t::DOUBLE;
    default: fail("conv2d", "cuDNN has no type for {}", name(dtype));
  }
}

void check_graph(fe::error_t status, const char* what, const ConvProblem& problem) {
  check(status.is_good(), "conv2d", "cuDNN {} can't {} {}: {}", cudnn_version(), what, problem.str(),
        status.get_message());
}

std::vector<int64_t> list(const ConvDims& dims) { return {dims.begin(), dims.end()}; }
std::vector<int64_t> list(const Pair& pair) { return {pair.h, pair.w}; }

fe::graph::Tensor_attributes describe(Uid uid, const Shape& shape, const ConvProblem& p) {
  return fe::graph::Tensor_attributes()
      .set_uid(uid)
      .set_dim(list(dims_of(shape)))
      .set_stride(list(conv_strides(shape, p.format)))
      .set_data_type(type_of(p.dtype));
}

void describe_result(const Operand& result, Uid uid, const Shape& shape, const ConvProblem& p) {
  result->set_uid(uid)
      .set_dim(list(dims_of(shape)))
      .set_stride(list(conv_strides(shape, p.format)))
      .set_data_type(type_of(p.dtype))
      .set_output(true);
}

template <class Attributes>
Attributes with_options(const Conv2dOptions& o) {
  return Attributes().set_padding(list(o.padding)).set_stride(list(o.stride)).set_dilation(list(o.dilation));
}

// relu?(z + residual? + bias?), in the order that cuDNN has compiled kernels for. What lies between has the type that
// sums are made in.
Operand append_epilogue(fe::graph::Graph& graph, Operand z, const ConvProblem& p, fe::DataType_t sums) {
  const auto between = [&](const Operand& value) {
    value->set_dim(list(dims_of(p.y))).set_stride(list(conv_strides(p.y, p.format))).set_data_type(sums);
  };
  const auto add = [&](const fe::graph::Tensor_attributes& other) {
    between(z);
    z = graph.pointwise(z, graph.tensor(other), fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
  };
  if (p.residual) add(describe(residual_uid, p.y, p));
  if (p.bias) add(describe(bias_uid, {1, p.y[1], 1, 1}, p));
  if (!p.relu) return z;
  between(z);
  return graph.pointwise(z, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
}

void append_convolution(fe::graph::Graph& graph, const ConvProblem& p, fe::DataType_t sums) {
  switch (p.pass) {
    case ConvPass::forward: {
      const Operand z = graph.conv_fprop(graph.tensor(describe(x_uid, p.x, p)), graph.tensor(describe(w_uid, p.w, p)),
                                         with_options<fe::graph::Conv_fprop_attributes>(p.options));
      return describe_result(append_epilogue(graph, z, p, sums), y_uid, p.y, p);
    }
    case ConvPass::backward_input: {
      const Operand dx = graph.conv_dgrad(graph.tensor(describe(y_uid, p.y, p)), graph.tensor(describe(w_uid, p.w, p)),
                                          with_options<fe::graph::Conv_dgrad_attributes>(p.options));
      return describe_result(dx, x_uid, p.x, p);
    }
    case ConvPass::backward_weight: {
      const Operand dw = graph.conv_wgrad(graph.tensor(describe(y_uid, p.y, p)), graph.tensor(describe(x_uid, p.x, p)),
                                          with_options<fe::graph::Conv_wgrad_attributes>(p.options));
      return describe_result(dw, w_uid, p.w, p);
    }
  }
}

// Sums are made in f32, of the values as they are; the rest is the program's choice.
std::vector<fe::NumericalNote_t> unwanted(const ConvProblem& p) {
  std::vector<fe::NumericalNote_t> notes{fe::NumericalNote_t::DOWN_CONVERT_INPUTS,
                                         fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION};
  if (p.deterministic) notes.push_back(fe::NumericalNote_t::NONDETERMINISTIC);
  if (!p.tf32) notes.push_back(fe::NumericalNote_t::TENSOR_CORE);  // f32 on tensor cores is TF32
  return notes;
}

std::shared_ptr<fe::DeviceProperties> described_device(const std::string& text) {
  auto device = std::make_shared<fe::DeviceProperties>();
  fe::error_t status = device->deserialize({text.begin(), text.end()});
  check(status.is_good(), "conv2d", "cuDNN {} doesn't take this description of a device: {}", cudnn_version(),
        status.get_message());
  return device;
}

}  // namespace

struct ConvGraph::Graph {
  fe::graph::Graph graph;
};

// Nothing of cudnn-frontend is called here that needs the CUDA runtime as a shared library: this program has its own in
// it. execute_plan_at_index looks for one, to ask for the thread's context, and goes on where there is none. CUDA
// graphs don't keep plans alive for the same reason; conv_plan.cpp does.
ConvGraph::ConvGraph(const ConvProblem& problem, const ConvTarget& target, int most)
    : graph_(std::make_unique<Graph>()) {
  fe::cudnn_dlhandle = cudnn_library();
  fe::graph::Graph& graph = graph_->graph;
  const fe::DataType_t sums = problem.dtype == DType::f64 ? fe::DataType_t::DOUBLE : fe::DataType_t::FLOAT;
  graph.set_io_data_type(type_of(problem.dtype)).set_intermediate_data_type(sums).set_compute_data_type(sums);
  graph.set_cuda_graph_retention(fe::CudaGraphRetention_t::NONE);
  if (!target.handle) graph.set_device_properties(described_device(target.device));
  append_convolution(graph, problem, sums);
  check_graph(graph.validate(), "describe", problem);
  fe::error_t status = graph.build_operation_graph(target.handle);
  if (status.is_good()) status = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
  if (status.is_bad()) {
    why_ = status.get_message();
    return;
  }
  graph.deselect_numeric_notes(unwanted(problem)).deselect_workspace_greater_than(most_workspace);
  for (int64_t i = 0; i < graph.get_execution_plan_count() && plans() < most; ++i) {
    status = graph.build_plan_at_index(i);
    if (status.is_good())
      built_.push_back(i);
    else
      why_ = status.get_message();
  }
}

ConvGraph::~ConvGraph() = default;
ConvGraph::ConvGraph(ConvGraph&&) noexcept = default;
ConvGraph& ConvGraph::operator=(ConvGraph&&) noexcept = default;

std::string ConvGraph::name(int plan) const {
  std::string name;
  const fe::error_t status = graph_->graph.get_plan_name_at_index(built_[plan], name);
  return status.is_good() ? name : "unnamed";
}

int64_t ConvGraph::workspace(int plan) const { return graph_->graph.get_workspace_size_plan_at_index(built_[plan]); }

void ConvGraph::run(int plan, cudnnContext* handle, const ConvPointers& p, void* workspace) const {
  void* pointers[5] = {p.x, p.w, p.y};
  int count = 3;
  if (p.bias) pointers[count++] = p.bias;
  if (p.residual) pointers[count++] = p.residual;
  fe::error_t status = graph_->graph.execute_plan_at_index(handle, pointers, count, workspace, built_[plan]);
  if (status.is_good()) [[likely]]
    return;
  check_work();
  fail("conv2d", "cuDNN {} failed in plan {}: {}", cudnn_version(), name(plan), status.get_message());
}

}  // namespace engine::cuda
