#include "apps/common/trained_model.h"

#include "apps/common/experiment.h"

namespace apps {

TrainedModel load_trained(const std::string& path, const ride::Recipe& recipe, int64_t classes, engine::Device device) {
  const ModelState state = split_state(engine::load_checkpoint(path));
  TrainedModel trained;
  trained.model = make_model(recipe, classes, device);
  engine::load_state(state.network, trained.model->state_dict(), {.source = path});
  if (!state.assignment.empty()) {
    trained.assignment = make_assignment(recipe, *trained.model);
    engine::load_state(state.assignment, trained.assignment->state_dict(), {.source = path});
  }
  trained.model->eval();
  return trained;
}

}  // namespace apps
