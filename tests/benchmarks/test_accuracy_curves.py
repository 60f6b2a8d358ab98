from benchmarks.accuracy_curves import DIGITS, KEYPOINTS, curves, seconds_until, summary


def training(way, seed, points, ended="epochs"):
    return {"way": way, "seed": seed, "points": points, "ended": ended}


def test_a_level_counts_from_where_the_curve_stays_there():
    curve = [(10, 99.1), (20, 98.9), (30, 99.0), (40, 99.4)]
    assert seconds_until(curve, 99.0, True) == 30
    assert seconds_until(curve, 99.5, True) == float("inf")
    assert seconds_until([(5, 3.0), (9, 2.0), (12, 2.5)], 2.2, False) == float("inf")


def test_our_curve_goes_through_the_ends_of_trainings_in_order_of_time():
    found = curves([training("ours", 0, [[60, 99.5]]), training("ours", 0, [[20, 99.1]])])
    assert found == {"ours": {0: [(20, 99.1), (60, 99.5)]}}


def test_a_level_that_most_seeds_never_reach_is_never_reached():
    trainings = [training("ours", seed, [[20, 99.6]]) for seed in range(3)]
    trainings += [training("seed-digits", seed, [[600, best]]) for seed, best in enumerate([99.6, 99.4, 99.4])]
    found = summary(DIGITS, trainings)
    assert found["99.3 %"]["ratio"] == 30
    assert found["99.5 %"]["median"] == {"ours": 20, "seed-digits": None}
    assert (found["99.5 %"]["ratio"], found["99.5 %"]["more_than"]) == (None, 30)
    assert found["not_to_the_end"] == []


def test_ours_is_compared_with_the_best_of_a_described_system_and_with_its_end():
    theirs = training("seed-keypoints-cnn", 0, [[100, 5.0], [400, 3.2], [600, 3.3]], ended="minutes")
    ours = [training("ours", 0, [[seconds, rmse]]) for seconds, rmse in [(10, 4.0), (20, 3.0), (500, 1.6), (900, 1.5)]]
    found = summary(KEYPOINTS, [theirs, *ours])
    one = found["seed-keypoints-cnn"]["0"]
    assert (one["best"], one["best_at"], one["ours_there_at"], one["ratio"]) == (3.2, 400, 20, 20)
    assert (one["end_at"], one["ours_at_their_end"], one["part"]) == (600, 1.6, 0.5)
    assert found["not_to_the_end"] == ["seed-keypoints-cnn seed 0"]
