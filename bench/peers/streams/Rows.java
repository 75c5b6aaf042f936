package peers;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.LocalDate;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;

/**
 * The rows that a thread has changed since it last wrote them, each only as it is now, and how they
 * get into Postgres: one sorted upsert of absolute values per table, both in one transaction.
 */
final class Rows {
    private static final String UPSERT =
        """
        insert into %s (kind, %s, day, count, amount)
        select * from unnest(?::text[], ?::uuid[], ?::date[], ?::bigint[], ?::numeric[])
        on conflict (kind, %2$s, day) do update set
            count = excluded.count, amount = excluded.amount
        """;

    private static ThreadLocal<Rows> mine;

    private final Map<Place, Totals> schools = new HashMap<>();
    private final Map<Place, Totals> counties = new HashMap<>();
    private final Connection connection;
    private long schoolEvents;
    private long countyEvents;

    private Rows(String url) throws SQLException {
        connection = DriverManager.getConnection(url);
        connection.setAutoCommit(false);
    }

    static void writeTo(String url) {
        mine =
            ThreadLocal.withInitial(
                () -> {
                    try {
                        return new Rows(url);
                    } catch (SQLException problem) {
                        throw new IllegalStateException(problem);
                    }
                });
    }

    /** Those of this thread. */
    static Rows mine() {
        return mine.get();
    }

    void school(Place place, Totals totals) {
        schools.put(place, totals);
        schoolEvents++;
    }

    void county(Place place, Totals totals) {
        counties.put(place, totals);
        countyEvents++;
    }

    /** Writes what has changed; to be followed by Kafka's commit of what it came from. */
    void flush() {
        if (schools.isEmpty() && counties.isEmpty()) {
            return;
        }
        try {
            upsert("school_day", "school", schools);
            upsert("county_day", "county", counties);
            connection.commit();
        } catch (SQLException problem) {
            throw new IllegalStateException(problem);
        }
        Progress.written(schoolEvents, countyEvents);
        schoolEvents = 0;
        countyEvents = 0;
    }

    private void upsert(String table, String column, Map<Place, Totals> rows) throws SQLException {
        int size = rows.size();
        if (size == 0) {
            return;
        }
        String[] kinds = new String[size];
        UUID[] ids = new UUID[size];
        String[] days = new String[size];
        Long[] counts = new Long[size];
        BigDecimal[] amounts = new BigDecimal[size];
        int n = 0;
        for (Place place : rows.keySet().stream().sorted().toList()) {
            Totals totals = rows.get(place);
            kinds[n] = place.kind();
            ids[n] = place.id();
            days[n] = LocalDate.ofEpochDay(place.day()).toString();
            counts[n] = totals.count();
            amounts[n++] = totals.amount();
        }
        try (PreparedStatement statement =
            connection.prepareStatement(UPSERT.formatted(table, column))) {
            statement.setArray(1, connection.createArrayOf("text", kinds));
            statement.setArray(2, connection.createArrayOf("uuid", ids));
            statement.setArray(3, connection.createArrayOf("date", days));
            statement.setArray(4, connection.createArrayOf("bigint", counts));
            statement.setArray(5, connection.createArrayOf("numeric", amounts));
            statement.executeUpdate();
        }
        rows.clear();
    }
}
