struct fill {
  int8_t *output;
  int32_t count;
  int8_t value;
};

static void fill(const struct fill *p) {
  for (int32_t i = 0; i < p->count; i++) p->output[i] = p->value;
}
