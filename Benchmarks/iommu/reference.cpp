// What the software IOMMU is compared with: an interval map on std::map that does the same.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <map>
#include <mutex>
#include <vector>

struct Mapping {
	uint64_t last, vaddr;
	uint64_t word;
};

class Domain {
	std::map<uint64_t, Mapping> mappings;
	std::mutex mutex;

public:
	bool map(uint64_t iova, uint64_t vaddr, uint64_t size, uint64_t word)
	{
		std::lock_guard guard(mutex);
		auto next = mappings.upper_bound(iova);

		if (next != mappings.end() && next->first <= iova + size - 1)
			return false;
		if (next != mappings.begin() && std::prev(next)->second.last >= iova)
			return false;
		mappings.emplace_hint(next, iova, Mapping{ iova + size - 1, vaddr, word });
		return true;
	}

	uint64_t unmap(uint64_t iova, uint64_t size)
	{
		std::lock_guard guard(mutex);
		auto at = mappings.upper_bound(iova);
		uint64_t bytes = 0;

		if (at != mappings.begin() && std::prev(at)->second.last >= iova)
			--at;
		while (at != mappings.end() && at->first <= iova + size - 1) {
			bytes += at->second.last - at->first + 1;
			at = mappings.erase(at);
		}
		return bytes;
	}

	uint64_t translate(uint64_t iova)
	{
		std::lock_guard guard(mutex);
		auto at = mappings.upper_bound(iova);

		if (at == mappings.begin())
			return 0;
		--at;
		return at->second.last >= iova ? at->second.vaddr + (iova - at->first) : 0;
	}
};

static double now()
{
	timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint64_t state = 88172645463325252ull;

static uint64_t next()
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static volatile uint64_t sink;

static void measure(size_t n)
{
	const uint64_t page = 4096;
	std::vector<uint64_t> sequential(n), order;

	for (size_t i = 0; i < n; i++)
		sequential[i] = i * 2 * page;
	order = sequential;
	state = 88172645463325252ull;
	for (size_t i = n - 1; i > 0 && n > 1; i--)
		std::swap(order[i], order[next() % (i + 1)]);
	int rounds = n >= 1000000 ? 3 : 7, repeats = std::max<size_t>(1, 10000 / n);

	for (int k = 0; k < 2; k++) {
		auto &keys = k ? order : sequential;
		double map = 1e18, unmap = 1e18, translate = 1e18;

		for (int r = 0; r < rounds; r++) {
			Domain domain;
			double mapping = 0, unmapping = 0;

			for (int i = 0; i < repeats; i++) {
				double start = now();

				for (auto key : keys)
					domain.map(key, 0x1000000000 + key, page, 3);
				mapping += now() - start;
				if (i < repeats - 1) {
					start = now();
					for (auto key : keys)
						domain.unmap(key, page);
					unmapping += now() - start;
				}
			}
			size_t looks = std::max<size_t>(1, 100000 / n);
			double start = now();
			uint64_t sum = 0;

			for (size_t i = 0; i < looks; i++)
				for (auto key : keys)
					sum += domain.translate(key + 8);
			sink = sum;
			translate = std::min(translate, (now() - start) / n / looks);
			start = now();
			for (auto key : keys)
				domain.unmap(key, page);
			unmapping += now() - start;
			map = std::min(map, mapping / n / repeats);
			unmap = std::min(unmap, unmapping / n / repeats);
		}
		const char *name = k ? "random" : "sequential";

		printf("map.%s.%zu\t%.3f\n", name, n, map);
		printf("unmap.%s.%zu\t%.3f\n", name, n, unmap);
		printf("translate.%s.%zu\t%.3f\n", name, n, translate);
	}
}

// reference [N...]
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		measure(strtoull(argv[i], nullptr, 10));
	if (argc > 1)
		return 0;
	for (size_t n : { 1, 100, 10000, 1000000 })
		measure(n);
}
