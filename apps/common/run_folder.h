// The folder of one run: recipe.toml, run.json, train.log, metrics.jsonl, checkpoints/, figures/.
#pragma once
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace apps {

// What run.json records besides the program's version, revision and compiler and the time of the start.
struct RunInfo {
  std::vector<std::string> command = {};  // argv
  int64_t seed = 0;
  std::string device = {};  // "cpu"
  int threads = 0;
  std::map<std::string, std::string> versions = {};  // of libraries
};

struct RunFolderOptions {
  // The checkpoint's step when a run goes on: lines of metrics.jsonl past it are dropped, they will come again. Without
  // it the run is new: logs start empty, and `last` and `best` checkpoints found there are kept as previous.safetensors
  // and previous-best.safetensors.
  std::optional<int64_t> resume_step = {};
  bool echo = true;  // log lines also go to stdout
};

class RunFolder {
 public:
  // Creates what is missing. Throws engine::Error with the path where the folder can't be made or written.
  explicit RunFolder(const std::string& folder, const RunFolderOptions& options = {});

  const std::string& path() const { return folder_; }
  std::string file(std::string_view name) const;        // folder/name
  std::string checkpoint(std::string_view name) const;  // folder/checkpoints/name.safetensors

  // For a message: where a run that breaks off can go on from.
  std::string last_good_checkpoint() const;

  void write_recipe(const std::string& toml) const;
  void write_run(const RunInfo& info) const;

  // Appends a line with the time to train.log.
  void log(std::string_view text);
  // Appends {"step": ..., "epoch": ..., values...} to metrics.jsonl; NaN and infinity become null. Keys are
  // train/loss, train/loss_<part>, val/acc, val/acc_many, val/acc_medium, val/acc_few, lr, images_per_second.
  void metrics(int64_t step, int64_t epoch, const std::vector<std::pair<std::string, double>>& values);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  File open_for_append(const char* name) const;
  void append(std::FILE* file, const char* name, const std::string& line) const;
  void drop_metrics_after(int64_t step) const;

  std::string folder_;
  bool echo_;
  File log_, metrics_;
};

// Whether a new run in `folder` would write over the run that `file`, a checkpoint, belongs to.
bool is_run_of(const std::string& folder, const std::string& file);

// What `--resume` asks for: folder/checkpoints/last.safetensors for "auto" where it exists, empty (a new run) where it
// doesn't and for ""; any other text is the file itself.
std::string checkpoint_to_resume(const std::string& resume, const std::string& folder);

}  // namespace apps
