/* The functions that the benchmarks call: they do next to nothing, so that the call is what costs. */

int no_arguments(void)
{
    return 42;
}

int absolute(int x)
{
    return x < 0 ? -x : x;
}

double half(double x)
{
    return 0.5 * x;
}

double add(double x, double y)
{
    return x + y;
}

long six_longs(long a, long b, long c, long d, long e, long f)
{
    return a - b + c - d + e - f;
}

double ten_mixed(signed char a, short b, int c, long d, float e, double f, unsigned char g,
                 unsigned short h, unsigned int i, double j)
{
    return a + b + c + d + e + f + g + h + i + j;
}
