/* Slices, transposes, joins: numbers at other places. */
struct move {
  const int8_t *input;
  int8_t *output;
  int32_t sides[4], steps[4], output_steps[4];
};

static void move(const struct move *p) {
  for (int32_t i = 0; i < p->sides[0]; i++) {
    for (int32_t j = 0; j < p->sides[1]; j++) {
      for (int32_t k = 0; k < p->sides[2]; k++) {
        const int8_t *from = p->input + i * p->steps[0] + j * p->steps[1] + k * p->steps[2];
        int8_t *to = p->output + i * p->output_steps[0] + j * p->output_steps[1] + k * p->output_steps[2];
        for (int32_t left = p->sides[3]; left > 0; left--, from += p->steps[3], to += p->output_steps[3]) *to = *from;
      }
    }
  }
}
