package peers;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.LocalDate;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.apache.kafka.streams.processor.api.ProcessorContext;

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
    private final Set<ProcessorContext<?, ?>> tasks = new HashSet<>();
    private final Connection connection;
    private long flushedAt;
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

    void join(ProcessorContext<?, ?> task) {
        tasks.add(task);
    }

    /** A task goes to another thread, which must not be overtaken by rows from here. */
    void leave(ProcessorContext<?, ?> task) {
        tasks.remove(task);
        flush();
    }

    /**
     * Writes what has changed if that is due. The thread's next step, before any other event, is
     * then to commit: all of its tasks, as their rows are written together.
     */
    void flushIfDue(long now, long intervalMs) {
        if (now - flushedAt < intervalMs) {
            return;
        }
        flushedAt = now;
        flush();
        tasks.forEach(ProcessorContext::commit);
    }

    private void flush() {
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
