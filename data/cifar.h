// CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): 32x32 RGB, the binary version and the pickled python version.
#pragma once
#include <memory>
#include <string>

#include "data/dataset.h"

namespace data {

// The files lie in `dir` or in the folder that the archive unpacks to (cifar-100-binary, cifar-100-python). Labels are
// the fine ones. A binary file may hold any number of whole records, so small sets can be written in the format: a file
// cut exactly between two shows in the set's size only. Throws when no version is there (naming the files looked for),
// when a file ends inside a record or the pickled pixels and labels are not equally many, and for a label out of range,
// with the file and the offset.
std::shared_ptr<const Dataset> load_cifar100(const std::string& dir, bool train);
// Likewise: cifar-10-batches-bin, cifar-10-batches-py.
std::shared_ptr<const Dataset> load_cifar10(const std::string& dir, bool train);

}  // namespace data
